"""What execs may be. Hosts have the same limits (docs/reference/exec-protocol.md) and would refuse later."""

from __future__ import annotations

from execwire import frames

COMMAND_LIMIT_BYTES = frames.COMMAND_LIMIT_BYTES
COMMAND_RULE = f"must be 1 to {COMMAND_LIMIT_BYTES} bytes, without NUL"
TIMEOUT_S_LIMIT = 30 * 24 * 3600
SIGNALS = frozenset({"HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM", "CONT", "WINCH", "KILL"})


def is_command(text: str) -> bool:
    return "\0" not in text and 0 < len(text.encode("utf-8", "surrogatepass")) <= COMMAND_LIMIT_BYTES
