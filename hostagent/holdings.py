"""What the agent must remember about its held sandboxes when it is killed: `held/<sandbox id>.json`.

As with leases, nothing is synced to disk: a volume's own files are, and they say what is saved.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import structlog

from hostagent import machine
from hostagent.fields import Stages
from hostagent.heldwire import (
    DamagedObject,
    SandboxAsleep,
    SandboxAwake,
    SandboxEnd,
    SandboxEnded,
    SandboxWish,
    StartupReport,
)
from hostagent.journal import read, replace

logger = structlog.get_logger(__name__)


class HeldPhase(StrEnum):
    """How far a held sandbox has come. Each is written before what it names is done."""

    # Entered with the wish. Holds: no script was started in it. What there is of it can be made anew.
    ACCEPTED = "accepted"
    # Entered when its container is up. Holds: runs may be in it, and its volume may have changed.
    RUNNING = "running"
    # Entered when it is known why it ends (`end`). Holds: nothing new starts in it.
    ENDING = "ending"
    # Entered when its container is gone and all that is to be saved is durable.
    # Holds: only reporting is left.
    SAVED = "saved"
    # Entered when the control plane has given it away. Holds: nothing of it may be published.
    FENCED = "fenced"


class StartupTry(msgspec.Struct, frozen=True):
    """How far the supervisor of the startup command has come. Written before the next step is done."""

    number: int = 1  # names the exec: ordered twice it is still started once
    failures: int = 0  # in a row, each soon after its start
    started_at: int = 0  # Unix ms; 0: it may have been ordered, and not be started yet
    end: StartupReport | None = None


class Sleep(msgspec.Struct, frozen=True):
    """A sandbox is frozen, or about to be."""

    since_ms: int  # uptime
    wake: int  # how often it had been wished awake by then
    asleep: SandboxAsleep | None = None  # None: it is not certain yet that it stays frozen


class HeldRecord(msgspec.Struct):
    """A held sandbox on this host."""

    wish: SandboxWish
    machine_boot_id: str
    accepted_at: int  # Unix ms
    phase: HeldPhase = HeldPhase.ACCEPTED
    started_at: int = 0  # Unix ms
    stages: Stages | None = None
    has_run: bool = False  # something was to run in it: if it is not kept, it ends when nothing does
    end: SandboxEnded | None = None
    startup: StartupTry | None = None  # None: no try yet
    sleep: Sleep | None = None  # None: awake
    woke: SandboxAwake | None = None  # from its last sleep: what the server may not have heard

    @property
    def sandbox_id(self) -> str:
        return self.wish.sandbox_id


class Holdings:
    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def load(self) -> list[HeldRecord]:
        """In the order of their acceptance. What cannot be read is removed: the server misses it then, and
        its volume is found by `hostagent.shelf`."""
        records = []
        for path in self._root.glob("*.json"):
            record = read(path, HeldRecord)
            if record is not None and record.sandbox_id == path.stem:
                records.append(record)
            else:
                logger.warning("holding_unreadable", sandbox=path.stem)
                path.unlink()
        return sorted(records, key=lambda record: record.accepted_at)

    def write(self, record: HeldRecord) -> None:
        replace(self._path(record.sandbox_id), record)

    def forget(self, sandbox_id: str) -> None:
        self._path(sandbox_id).unlink(missing_ok=True)

    def _path(self, sandbox_id: str) -> Path:
        return self._root / f"{sandbox_id}.json"


class Holding:
    """One record, and how it is changed: what is noted here is on file at once."""

    def __init__(self, holdings: Holdings, record: HeldRecord, log: Any) -> None:
        self.record = record
        self._holdings = holdings
        self._log = log

    def write(self) -> None:
        self._holdings.write(self.record)

    def move(self, phase: HeldPhase) -> None:
        self.record.phase = phase
        self.write()

    def end(self, reason: SandboxEnd, message: str, damaged: DamagedObject | None = None) -> None:
        """Note why it ends. The first reason stays."""
        record = self.record
        if record.end is None:
            record.end = SandboxEnded(
                record.sandbox_id, record.wish.epoch, machine.now_ms(), reason, message, damaged
            )
            self._log.info("sandbox_ending", reason=reason, message=message)
        self.move(HeldPhase.ENDING)

    def amend(self, message: str) -> None:
        """Say more of why it ended."""
        if self.record.end is not None:
            self.record.end = msgspec.structs.replace(self.record.end, message=message)

    def forget(self) -> None:
        self._holdings.forget(self.record.sandbox_id)
