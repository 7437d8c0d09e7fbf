"""What the two `btrfs` processes have in common."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
from typing import IO

PIPE_BYTES = 1 << 20  # the most that everybody may ask for; fewer switches between writer and reader


def enlarged(file: IO[bytes] | None) -> int:
    """The descriptor of one end of a pipe to a process, with as much room as there may be."""
    if file is None:
        raise ValueError("no pipe")
    fd = file.fileno()
    with contextlib.suppress(PermissionError):  # the user's sum of pipes is used up: slower, that is all
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return fd


def end(process: subprocess.Popen[bytes]) -> str:
    """Wait for the process; what it said on stderr, and how it ended if not well."""
    _, said = process.communicate()
    text = said.decode(errors="replace").strip()
    return f"{text} (status {process.returncode})" if process.returncode else text


def kill(process: subprocess.Popen[bytes]) -> None:
    """End and reap it, and close its pipes."""
    process.kill()
    with process:
        pass
