"""How far a program below a conmon has come, told by the files of one directory.

created      it waits to be started       started   its start was asked for
pid          written by the runtime; the exit file by conmon
"""

from __future__ import annotations

from pathlib import Path

from hostagent.drivers.base import Phase
from hostagent.errors import DriverError


class Marked:
    """A sandbox or a run."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """For messages."""
        raise NotImplementedError

    @property
    def path(self) -> Path:
        raise NotImplementedError

    @property
    def exit_file(self) -> Path:
        raise NotImplementedError

    def mark_created(self) -> None:
        (self.path / "created").touch()

    def mark_started(self) -> None:
        """Before the runtime is asked, and never twice: a script starts at most once."""
        if not (self.path / "created").exists():
            raise DriverError(f"{self.name} does not wait to be started", "create it first")
        try:
            (self.path / "started").touch(exist_ok=False)
        except FileExistsError as error:
            raise DriverError(f"{self.name} was started before") from error

    def phase(self) -> Phase:
        if self.exit_file.exists():
            return Phase.EXITED
        if (self.path / "started").exists():
            return Phase.RUNNING
        return Phase.CREATED if (self.path / "created").exists() else Phase.BUILDING

    def pid(self) -> int | None:
        """Of the first process."""
        try:
            return int((self.path / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
