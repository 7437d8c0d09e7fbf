"""What is said on an exec's WebSocket, without saying it: shared by both clients."""

from __future__ import annotations

import json
import shlex
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mags.errors import MagsError

if TYPE_CHECKING:
    from collections.abc import Sequence

INPUT_WINDOW_BYTES = 256 * 1024  # sent, and not yet taken by the command
INPUT_PIECE_BYTES = 32 * 1024
ACK_BYTES = 128 * 1024  # the server sends up to 1 MiB ahead
STREAMS: dict[int, Literal["stdout", "stderr"]] = {1: "stdout", 2: "stderr"}
_HEAD = struct.Struct(">BQ")
UNAUTHORIZED = 4401


@dataclass(frozen=True)
class ExecOutput:
    """A piece of a stream. `missing_bytes` before it are not kept any more."""

    stream: Literal["stdout", "stderr"]
    offset: int
    data: bytes
    missing_bytes: int = 0


@dataclass(frozen=True)
class Size:
    """Of a terminal's window."""

    rows: int
    columns: int


def command_text(command: str | Sequence[str] | None) -> str | None:
    """A shell's text; a list is the words of one command."""
    return command if command is None or isinstance(command, str) else shlex.join(command)


def message(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields})


def output_of(frame: bytes) -> ExecOutput:
    stream, offset = _HEAD.unpack_from(frame)
    return ExecOutput(STREAMS[stream], offset, frame[_HEAD.size :])


def gap_of(told: dict[str, Any]) -> ExecOutput:
    return ExecOutput(STREAMS[told["stream"]], told["offset"] + told["bytes"], b"", told["bytes"])


def is_final(close_code: int | None) -> bool:
    """Whether coming back would be in vain."""
    return close_code is not None and 4400 <= close_code < 4500


def refusal(close_code: int, told: dict[str, Any] | None, url: str) -> MagsError:
    """The error that a connection was closed with."""
    told = told or {}
    if close_code == UNAUTHORIZED:
        return MagsError(
            f"{url} does not accept the token.", status=401, code="unauthorized", remediation="Log in again."
        )
    return MagsError(
        str(told.get("error") or f"{url} refused the command ({close_code})."),
        status=close_code - 4000,
        code=str(told.get("code") or ("job_not_found" if close_code == 4404 else "refused")),
        remediation=str(told.get("remediation") or ""),
    )


def parting(told: dict[str, Any] | None, url: str) -> MagsError:
    """The same where it is worth to come back."""
    told = told or {}
    return MagsError(
        str(told.get("error") or f"The connection to {url} was lost."),
        code=str(told.get("code") or "unreachable"),
        remediation=str(told.get("remediation") or "Check that the server runs. The command goes on."),
        retryable=True,
    )


def input_lost() -> MagsError:
    return MagsError(
        "The connection was lost while input was on its way; how much of it arrived is not known.",
        code="input_lost",
        remediation="The command goes on without the rest: look at it, or end it with a signal.",
    )


def end_result(exec_id: str, end: dict[str, Any]) -> dict[str, Any]:
    return {
        "exec_id": exec_id,
        **{key: value for key, value in end.items() if key not in ("type", "exec_id")},
    }
