"""Which sandbox is meant, and whether it may be reached now: read from what the agent and the driver keep on
disk, so that an agent that is away stops nobody."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hostagent.config import Config
from hostagent.dataport.errors import no_sandbox
from hostagent.drivers.base import Phase
from hostagent.drivers.bundle import Bundle
from hostagent.drivers.statefs import StateFs, state_root
from hostagent.holdings import HeldPhase, HeldRecord
from hostagent.journal import read
from hostagent.linux import cgroup, process, sysctl
from hostagent.linux.cgroup import Cgroups
from hostagent.network.layout import Layout

HELD = "held"  # where the agent keeps its records of held sandboxes


@dataclass(frozen=True, slots=True)
class Init:
    """A sandbox's first process, by a handle that never means another one."""

    pid: int
    pidfd: int


class Tenancy:
    """Everything here blocks for a moment (files in memory): call it in a thread."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.groups: Cgroups = cgroup.detect()
        self._fs = StateFs(state_root(config))
        self._records = config.state_dir.resolve() / HELD
        self._layout = Layout.of(config, has_ipv6=sysctl.exists("net/ipv6"))

    def check(self, sandbox_id: str, epoch: int) -> None:
        """Raises Refused unless the agent holds the sandbox in this epoch. A sandbox that the control plane
        has given to another host, or that is ending, is not reached any more."""
        record = read(self._records / f"{sandbox_id}.json", HeldRecord)
        if record is None or record.phase is not HeldPhase.RUNNING or record.wish.epoch != epoch:
            raise no_sandbox(sandbox_id)

    @contextlib.contextmanager
    def init(self, sandbox_id: str) -> Iterator[Init]:
        """The sandbox's first process. Raises Refused where there is none."""
        bundle = self.bundle(sandbox_id)
        pid = bundle.pid()
        if pid is None or bundle.phase() is not Phase.RUNNING:
            raise no_sandbox(sandbox_id)
        try:
            with process.pidfd(pid) as pidfd:
                # The number may be another process's by now: what is read here is only true of the one that
                # the handle means, if that one is still alive afterwards.
                is_in_group = cgroup.of_process(self.groups, pid) == self.group(sandbox_id)
                signal.pidfd_send_signal(pidfd, 0)
                if not is_in_group:
                    raise no_sandbox(sandbox_id)
                yield Init(pid, pidfd)
        except ProcessLookupError as error:
            raise no_sandbox(sandbox_id) from error

    def is_frozen(self, sandbox_id: str) -> bool:
        return cgroup.is_frozen(self.groups, self.group(sandbox_id))

    def addresses(self, sandbox_id: str) -> list[str]:
        """Of its own interface."""
        claim = self.bundle(sandbox_id).read_claim()
        if claim is None:
            raise no_sandbox(sandbox_id)
        slot = self._layout.slot(claim.slot_index)
        return [address for address in (slot.address4, slot.address6) if address]

    def bundle(self, sandbox_id: str) -> Bundle:
        return Bundle(self._fs, sandbox_id)

    def group(self, name: str) -> str:
        return f"{self.config.instance}/{name}"

    @property
    def root(self) -> Path:
        return self._fs.root
