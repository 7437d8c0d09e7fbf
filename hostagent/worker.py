"""The agent's life: find what exists, boot, then poll, report and beat until told to leave.

Leaving (SIGTERM) is not stopping: sandboxes go on, the next agent adopts them.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog

from hostagent import machine, wire
from hostagent.backoff import Backoff, jitter
from hostagent.client import Client
from hostagent.config import Config
from hostagent.drivers.base import Driver
from hostagent.errors import ApiError, StaleBoot, Unreachable
from hostagent.journal import Journal
from hostagent.leases import Leases
from hostagent.logs.flood import Limits
from hostagent.reporter import Reporter
from hostagent.runner import Host
from hostagent.version import VERSION

logger = structlog.get_logger(__name__)

DRAINING = "draining"  # a file in state_dir: draining outlives the agent
JOURNAL = "leases"
QUICK_ANSWER_S = 1.0  # an empty poll answer that comes sooner is not a long poll's


class Worker:
    """Everything of one agent. `run` returns when cancelled."""

    def __init__(
        self, config: Config, driver: Driver, client: Client, journal: Journal | None = None
    ) -> None:
        journal = journal or Journal(config.state_dir / JOURNAL)
        self._driver = driver
        self._client = client
        self._reporter = Reporter(client)
        self._leases = Leases(Host(config, Limits.of(config), driver, journal, self._reporter.wake))
        self._capacity = machine.capacity(config)
        self._draining = config.state_dir / DRAINING
        self._revision = 0
        self._heartbeat_s = 5.0
        self._beat_now = asyncio.Event()
        self._heard_at = 0.0  # monotonic; when the server last answered

    async def run(self) -> None:
        await self._driver.open()
        is_stale = False  # then the sandboxes are another agent's by now
        try:
            await self._leases.restore()
            await self._boot()
            async with asyncio.TaskGroup() as loops:
                loops.create_task(self._poll_for_ever())
                loops.create_task(self._beat_for_ever())
                loops.create_task(self._reporter.run())
        except* StaleBoot:
            is_stale = True
            raise
        finally:
            await self._leases.detach()
            if not is_stale:
                await self._driver.close(everything=False)

    async def _boot(self) -> None:
        boot = wire.Boot(
            machine.boot_id(), VERSION, self._driver.isolation, self._capacity, self._leases.reported()
        )
        backoff = Backoff()
        while True:
            try:
                answer = await self._client.boot(boot)
                break
            except Unreachable as error:
                logger.warning("boot_unanswered", error=str(error))
                await asyncio.sleep(backoff.next_s())
        logger.info("booted", epoch=answer.boot_epoch, leases=len(answer.assignments), drop=len(answer.drop))
        self._heard_at = time.monotonic()
        self._revision = answer.revision
        self._heartbeat_s = answer.heartbeat_s
        self._leases.apply(answer.assignments, answer.drop)
        self._leases.drop_unassigned()

    async def _poll_for_ever(self) -> None:
        """Asks again as soon as there is an answer: the server holds the question until something changes."""
        backoff = Backoff()
        while True:
            asked_at = time.monotonic()
            try:
                answer = await self._client.poll(self._revision)
            except (Unreachable, ApiError) as error:
                _raise_if_unwelcome(error)
                logger.warning("poll_unanswered", error=str(error))
                await asyncio.sleep(backoff.next_s())
                continue
            self._heard_at = time.monotonic()
            self._leases.apply(answer.assignments, answer.drop)
            is_empty = not answer.assignments and not answer.drop and answer.revision <= self._revision
            self._revision = max(self._revision, answer.revision)
            if is_empty and self._heard_at - asked_at < QUICK_ANSWER_S:
                await asyncio.sleep(backoff.next_s())
            else:
                backoff.reset()

    async def _beat_for_ever(self) -> None:
        """Goes on while draining, and however busy the rest is."""
        while True:
            self._beat_now.clear()
            try:
                await self._client.heartbeat(self._heartbeat())
                self._heard_at = time.monotonic()
            except (Unreachable, ApiError) as error:
                _raise_if_unwelcome(error)
                logger.warning("heartbeat_unanswered", error=str(error))
            try:
                async with asyncio.timeout(jitter(self._heartbeat_s)):
                    await self._beat_now.wait()
            except TimeoutError:
                continue

    def _heartbeat(self) -> wire.Heartbeat:
        epoch = self._client.boot_epoch
        return wire.Heartbeat(epoch, self._capacity, len(self._leases), self.is_draining, machine.load())

    @property
    def is_draining(self) -> bool:
        return self._draining.exists()

    def drain(self) -> None:
        """No new work; what runs goes on. Drain is not cancel."""
        self._draining.touch()
        self._beat_now.set()

    def undrain(self) -> None:
        self._draining.unlink(missing_ok=True)
        self._beat_now.set()

    def command(self, name: str) -> dict[str, Any]:
        """What the control socket answers."""
        match name:
            case "drain":
                self.drain()
            case "undrain":
                self.undrain()
            case "status":
                pass
            case _:
                return {"error": "unknown command"}
        return self._status()

    def _status(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "boot_epoch": self._client.boot_epoch,
            "draining": self.is_draining,
            "silent_s": round(time.monotonic() - self._heard_at) if self._heard_at else None,
            "capacity": self._capacity,
            "leases": self._leases.status(),
        }


def _raise_if_unwelcome(error: Exception) -> None:
    """A key that the server does not know will not be known at the next try either."""
    if isinstance(error, ApiError) and error.status in (401, 403):
        raise error
