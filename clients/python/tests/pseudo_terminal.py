"""The command in a pseudo terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
import time

from conftest import Command

# Makes the terminal the controlling one, so that Ctrl-C typed into it becomes a signal; which whoever started
# the tests may have ignored, as shells do for what runs in the background.
TAKE_TERMINAL = (
    "import fcntl, os, signal, sys, termios\n"
    "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execv(sys.argv[1], sys.argv[1:])\n"
)


class Terminal:
    """A pseudo terminal with the command in it."""

    def __init__(self, mags: Command, *args: str, **env: str | None) -> None:
        self._main, inner = pty.openpty()
        environment = {**mags.environment, "TERM": "xterm-256color", "COLUMNS": "120", **env}
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, *mags.line(*args)],
            cwd=mags.directory,
            env={name: value for name, value in environment.items() if value is not None},
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        os.close(inner)
        self.seen = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._main)

    def expect(self, text: bytes) -> None:
        deadline = time.monotonic() + 20
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            assert self._read(), self.seen

    def type(self, text: bytes) -> None:
        os.write(self._main, text)

    def interrupt(self) -> None:
        """Ctrl-C at a question, until it is heard: Python misses one between the prompt and the read."""
        deadline = time.monotonic() + 20
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.seen
            self.type(b"\x03")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1)

    def rest(self) -> bytes:
        """All there was, up to the end of the process."""
        while self._read():
            pass
        assert self.process.wait(20) is not None
        return self.seen

    def _read(self) -> bool:
        if not select.select([self._main], [], [], 20)[0]:
            return False
        try:
            data = os.read(self._main, 65536)
        except OSError:  # EIO: everybody inside has gone
            return False
        self.seen += data
        return bool(data)
