"""Kernel settings below /proc/sys. Those of `net` are the calling thread's network namespace's."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/proc/sys")


def exists(key: str) -> bool:
    return (ROOT / key).exists()


def read(key: str) -> str:
    return (ROOT / key).read_text().strip()


def write(key: str, value: str) -> None:
    (ROOT / key).write_text(value)
