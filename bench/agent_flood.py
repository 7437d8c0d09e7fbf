"""How fast the agent gets through a spool: MB/s of spool and of output, on one core, without network.

python bench/agent_flood.py [MB of spool]
"""

from __future__ import annotations

import sys
import time

from hostagent.config import Config
from hostagent.logs.flood import Flood, Limits

READ_BYTES = 8192  # what conmon reads at once; all lines of a read have one timestamp


def spool(size: int, line: bytes, lines_a_read: int, step_ns: int) -> bytes:
    parts: list[bytes] = []
    at = total = 0
    tag = b"F" if line.endswith(b"\n") else b"P"
    while total < size:
        at += step_ns
        second, ns = divmod(at, 1_000_000_000)
        header = b"2026-11-23T07:%02d:%02d.%09d+00:00 stdout %s " % (second // 60 % 60, second % 60, ns, tag)
        parts.append((header + line.removesuffix(b"\n") + b"\n") * lines_a_read)
        total += len(parts[-1])
    return b"".join(parts)


def measure(name: str, data: bytes, limits: Limits) -> None:
    flood = Flood(limits, lambda position, length: data[position : position + length])
    began = time.process_time()
    while flood.step()[1]:
        pass
    while flood.finish()[1]:
        pass
    took = time.process_time() - began
    produced, stored = flood.state.produced, flood.state.stored
    print(
        f"{name:34} spool {len(data) / took / 1e6:6.0f} MB/s   output {produced / took / 1e6:7.1f} MB/s"
        f"   kept {stored / max(1, produced):6.1%}"
    )


def main() -> None:
    size = int(sys.argv[1] if len(sys.argv) > 1 else 60) * 1_000_000
    kept, dropped = Limits.of(Config()), Limits(65536, 262_144, 64 << 20, 65536)
    for name, line, lines in (
        ("2-byte lines (yes)", b"y\n", READ_BYTES // 2),
        ("80-byte lines", b"x" * 79 + b"\n", READ_BYTES // 80),
        ("no newline", b"x" * READ_BYTES, 1),
        ("a write a line, 2 bytes", b"y\n", 1),
    ):
        data = spool(size if lines > 1 or len(line) > 2 else size // 6, line, lines, 100_000)
        measure(f"{name}, stored", data, kept)
        measure(f"{name}, dropped", data, dropped)


if __name__ == "__main__":
    main()
