"""One run's files, below the directory of its held sandbox.

runs/<run id>/     the host's alone: process.json gate answer oom_kills, conmon's ctl and winsz, and what
                   `marks` tells of; the exit file is <sandbox id>. Made first, removed last
scripts/<run id>   the script, seen inside
spool/<run id>/    the output

gate   a named pipe: conmon waits until somebody writes to it. It holds both ends open itself, so nobody's
       death opens the gate, and whoever finds it held knows that the script has not started.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hostagent.drivers.base import RunSpec
from hostagent.drivers.bundle import Bundle
from hostagent.drivers.marks import Marked


@dataclass(frozen=True, slots=True)
class RunBundle(Marked):
    sandbox: Bundle
    run_id: str

    @property
    def has_pipes(self) -> bool:
        """For its output; a terminal has none."""
        return True

    @property
    def shim_options(self) -> tuple[str, ...]:
        """Of conmon, for this run."""
        return ()

    @property
    def key(self) -> str:
        return f"{self.sandbox.sandbox_id}.{self.run_id}"

    @property
    def name(self) -> str:
        return f"run {self.key}"

    @property
    def path(self) -> Path:
        return self.sandbox.path / "runs" / self.run_id

    @property
    def exit_file(self) -> Path:
        return self.path / self.sandbox.sandbox_id  # conmon names it after the container

    @property
    def spool(self) -> Path:
        return self.sandbox.spool.parent / self.run_id / "log"

    @property
    def gate(self) -> Path:
        return self.path / "gate"

    @property
    def answer_file(self) -> Path:
        """Where conmon says how the runtime's `exec` went."""
        return self.path / "answer"

    @property
    def process_file(self) -> Path:
        return self.path / "process.json"

    @property
    def script(self) -> Path:
        return self.sandbox.scripts / self.run_id

    def write(self, spec: RunSpec, process: dict[str, Any]) -> None:
        self.path.mkdir(mode=0o700)
        self.spool.parent.mkdir(mode=0o700)
        self.script.write_bytes(spec.script)
        self.script.chmod(0o555)
        self.process_file.write_text(json.dumps(process))
        os.mkfifo(self.gate, 0o600)

    def note_oom_kills(self, count: int) -> None:
        """How many the kernel had killed for memory before."""
        (self.path / "oom_kills").write_text(str(count))

    def oom_kills_before(self) -> int:
        return int((self.path / "oom_kills").read_text())

    def is_knocked(self) -> bool:
        """Whether what opens the gate was written and not read yet."""
        try:
            fd = os.open(self.gate, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return bool(select.select([fd], [], [], 0)[0])
        finally:
            os.close(fd)

    def remove(self) -> None:
        """Its `started` last: what is half removed must never look like a run that did not start."""
        self.script.unlink(missing_ok=True)
        shutil.rmtree(self.spool.parent, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            for entry in sorted(self.path.iterdir(), key=lambda entry: entry.name == "started"):
                entry.unlink()
            self.path.rmdir()
