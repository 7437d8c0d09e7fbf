"""Who is connected to the sandboxes of this host, as its data port knows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import structlog

from hostagent import control
from hostagent.errors import AgentError

ANSWER_S = 2.0  # a sandbox may be frozen while its answer is waited for

logger = structlog.get_logger(__name__)


class Visitors(msgspec.Struct, frozen=True):
    """Connections to one sandbox."""

    tcp: int = 0
    ssh: int = 0
    exec: int = 0
    quiet_ms: int | None = None  # since the last byte; None: nobody was connected for a day

    @property
    def connections(self) -> int:
        return self.tcp + self.ssh + self.exec


class _Answer(msgspec.Struct, frozen=True):
    sandboxes: dict[str, Visitors]
    execs: dict[str, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """All of it at one moment (monotonic)."""

    at: float
    visitors: Mapping[str, Visitors] = field(default_factory=dict)
    execs: Mapping[str, int] = field(default_factory=dict)

    def active_at(self, sandbox_id: str) -> float:
        """When the last byte passed, at the latest; 0 where that is not known any more."""
        quiet_ms = self.visitors.get(sandbox_id, Visitors()).quiet_ms
        return 0.0 if quiet_ms is None else self.at - quiet_ms / 1000

    def connections(self, sandbox_id: str) -> int:
        return self.visitors.get(sandbox_id, Visitors()).connections


class Traffic:
    """One question to the data port answers all who wait for one."""

    def __init__(self, state_dir: Path, *, has_data_port: bool) -> None:
        """Without a data port nobody is ever connected."""
        self._directory = state_dir / control.DATA_PORT
        self._has_data_port = has_data_port
        self._asking = asyncio.Lock()
        self._asked_at = 0.0
        self._seen: Seen | None = None  # what was answered then; None: nothing
        self._is_away = False

    async def seen(self, since: float) -> Seen | None:
        """What was asked at `since` (monotonic) or later. None where the data port does not answer: then
        nobody knows who is connected."""
        async with self._asking:
            if self._asked_at < since:
                asked_at = time.monotonic()
                self._seen = await self._ask()
                self._asked_at = asked_at  # not earlier: who is cancelled meanwhile has no answer for others
            return self._seen

    async def _ask(self) -> Seen | None:
        if not self._has_data_port:
            return Seen(time.monotonic())
        try:
            values = await control.ask(self._directory, "connections", ANSWER_S)
            answer = msgspec.convert(values, _Answer)
        except (AgentError, msgspec.ValidationError) as error:
            if not self._is_away:
                logger.warning("data_port_away", error=str(error), meanwhile="nothing falls asleep")
            self._is_away = True
            return None
        if self._is_away:
            logger.info("data_port_back")
        self._is_away = False
        return Seen(time.monotonic(), answer.sandboxes, answer.execs)
