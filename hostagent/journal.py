"""What the agent must remember about its leases when it is killed, one directory each:

    leases/<life>/lease.json        the record; replaced as a whole
                  checkpoint.json   where reading the spool can start again
                  output            what is or will be sent (`hostagent.logs.output`)

`life` is what the driver calls the script: a sandbox's id, or the key of a run in a held sandbox.

Nothing is synced to disk: the journal is for the death of the agent, not of the machine. After a reboot
no sandbox is left, and everything that was not finished is lost anyway.
"""

from __future__ import annotations

import re
import shutil
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from hostagent.fields import SandboxId, Stages
from hostagent.logs.tailer import Checkpoint
from hostagent.wire import Finished, LeaseKey, Outcome

logger = structlog.get_logger(__name__)
T = TypeVar("T")
_LIFE = re.compile(r"[a-z0-9]{16}(\.[a-z0-9]{8,32})?")


class Phase(StrEnum):
    """How far a lease has come. Each is written before what it names is done."""

    # Entered with the assignment, before anything is built. Holds: the script has certainly not started.
    ACCEPTED = "accepted"
    # Entered before `driver.start`. Holds: the container was made; the driver knows
    # whether the script started.
    STARTING = "starting"
    # Entered after `driver.start`. Holds: the script started.
    STARTED = "started"
    # Entered when the end is known and all output is in the output file.
    # Holds: only reporting and removing are left.
    EXITED = "exited"


class Record(msgspec.Struct):
    """A lease on this host. No script, no environment: the server sends them again if they are needed."""

    lease_id: int
    lease_epoch: int
    sandbox_id: SandboxId
    job_id: str
    machine_boot_id: str
    accepted_at: int  # Unix ms
    assigned_at: int  # Unix ms, the server's clock
    log_offset: int = 0
    timeout_s: int | None = None
    phase: Phase = Phase.ACCEPTED
    stages: Stages | None = None
    started_at: int = 0  # Unix ms
    started_uptime_ms: int = 0  # the timeout counts from here
    cause: Outcome | None = None  # why we end it, written before we do
    end: Finished | None = None
    in_sandbox: bool = False  # a run in the held sandbox `sandbox_id`

    @property
    def life(self) -> str:
        """What the driver calls the script."""
        return f"{self.sandbox_id}.{self.run_id}" if self.in_sandbox else self.sandbox_id

    @property
    def run_id(self) -> str:
        return f"{self.lease_id:08d}"

    @property
    def key(self) -> LeaseKey:
        return LeaseKey(self.lease_id, self.lease_epoch, self.log_offset)


class Journal:
    """Every write replaces a file in one step: a reader finds the old or the new one."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def load(self) -> list[Record]:
        """All leases that are not forgotten. What cannot be read is removed: the server misses it then."""
        records = []
        for directory in sorted(self._root.iterdir()):
            record = read(directory / "lease.json", Record)
            if record is not None and record.life == directory.name:
                records.append(record)
            else:
                logger.warning("journal_entry_unreadable", entry=directory.name)
                shutil.rmtree(directory)
        return records

    def write(self, record: Record) -> None:
        directory = self.directory(record.life)
        directory.mkdir(exist_ok=True, mode=0o700)
        replace(directory / "lease.json", record)

    def checkpoint(self, life: str) -> Checkpoint | None:
        return read(self.directory(life) / "checkpoint.json", Checkpoint)

    def write_checkpoint(self, life: str, checkpoint: Checkpoint) -> None:
        replace(self.directory(life) / "checkpoint.json", checkpoint)

    def output_path(self, life: str) -> Path:
        return self.directory(life) / "output"

    def forget(self, life: str) -> None:
        shutil.rmtree(self.directory(life), ignore_errors=True)

    def directory(self, life: str) -> Path:
        if not _LIFE.fullmatch(life):
            raise ValueError(f"{life!r} is neither a sandbox nor a run")
        return self._root / life


def read(path: Path, kind: type[T]) -> T | None:
    """None where there is nothing, or nothing that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None


def replace(path: Path, value: object) -> None:
    """In one step."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(value))
    fresh.replace(path)
