"""The agent's life: find what exists, boot, then poll, report and beat until told to leave.

Leaving (SIGTERM) is not stopping: sandboxes go on, the next agent adopts them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

import structlog

from hostagent import machine, ticketkeys, wire
from hostagent.backoff import Backoff, jitter
from hostagent.client import Client
from hostagent.config import Config
from hostagent.drivers.base import Driver
from hostagent.drivers.statefs import state_root
from hostagent.errors import ApiError, StaleBoot, Unreachable
from hostagent.holdings import Holdings
from hostagent.journal import Journal
from hostagent.keeper import Site
from hostagent.leases import Leases
from hostagent.librarian import Librarian
from hostagent.library import Library
from hostagent.logs.flood import Limits
from hostagent.outbox import Box
from hostagent.questions import Questions
from hostagent.reporter import Reporter
from hostagent.runner import Host
from hostagent.sandboxes import Sandboxes
from hostagent.saving import Depot
from hostagent.shelf import Shelf
from hostagent.traffic import Traffic
from hostagent.uploads import Uploads
from hostagent.version import VERSION
from hostagent.volumes.store import VolumeStore

logger = structlog.get_logger(__name__)

DRAINING = "draining"  # a file in state_dir: draining outlives the agent
JOURNAL = "leases"
HELD = "held"
UPLOADS = "uploads"
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
        uploads = Uploads(config.state_dir / UPLOADS, lambda: client.storage)
        wake = self._reporter.wake
        self._library = library = Library(state_root(config), client)
        self._librarian = Librarian(config, library)
        self._sandboxes = Sandboxes(_site(config, driver, client, library, uploads, wake))
        self._questions = Questions(VolumeStore(state_root(config)), client)
        host = Host(config, Limits.of(config), driver, library, journal, wake, uploads)
        self._leases = Leases(host, self._sandboxes)
        self._capacity = machine.capacity(config)
        data_port = config.data_port()
        self._data_port = wire.DataPort(*data_port) if data_port else None
        self._state_dir = config.state_dir
        self._draining = config.state_dir / DRAINING
        self._revision = 0
        self._heartbeat_s = 5.0
        self._beat_now = asyncio.Event()
        self._heard_at = 0.0  # monotonic; when the server last answered

    async def run(self) -> None:
        await self._driver.open()
        is_stale = False  # then the sandboxes are another agent's by now
        try:
            found = await self._driver.find()
            await self._sandboxes.restore(found)
            await self._leases.restore(found)
            await self._questions.open()
            await self._library.open()  # before the boot: from then on sandboxes fetch what they stand on
            await self._boot()
            async with asyncio.TaskGroup() as loops:
                loops.create_task(self._poll_for_ever())
                loops.create_task(self._beat_for_ever())
                loops.create_task(self._reporter.run())
                loops.create_task(self._librarian.run())
        except* StaleBoot:
            is_stale = True
            raise
        finally:
            await self._leases.detach()
            await self._sandboxes.detach()
            await self._questions.detach()
            if not is_stale:
                await self._driver.close(everything=False)

    async def _boot(self) -> None:
        boot = wire.Boot(
            machine.boot_id(), VERSION, self._driver.isolation, self._capacity, self._leases.reported(),
            self._sandboxes.reported(), self._sandboxes.volumes(), self._data_port,
        )  # fmt: skip
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
        self._learn_keys(answer.ticket_keys)
        self._librarian.may_publish = answer.publishes_images
        self._apply(answer)
        self._sandboxes.start()
        self._leases.drop_unassigned()

    def _apply(self, answer: wire.BootAnswer | wire.PollAnswer) -> None:
        """Sandboxes first: assignments may be for them. Images before both."""
        if answer.images is not None:
            self._library.learn(answer.images)
        self._sandboxes.apply(answer.sandboxes, answer.drop_sandboxes, answer.drop_volumes)
        self._leases.apply(answer.assignments, answer.drop)

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
            self._apply(answer)
            self._questions.apply(answer.questions)
            is_empty = _is_empty(answer) and answer.revision <= self._revision
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
                answer = await self._client.heartbeat(self._heartbeat())
                self._heard_at = time.monotonic()
                self._learn_keys(answer.ticket_keys)
            except (Unreachable, ApiError) as error:
                _raise_if_unwelcome(error)
                logger.warning("heartbeat_unanswered", error=str(error))
            try:
                async with asyncio.timeout(jitter(self._heartbeat_s)):
                    await self._beat_now.wait()
            except TimeoutError:
                continue

    def _learn_keys(self, keys: wire.TicketKeys | None) -> None:
        if keys is not None and ticketkeys.learn(self._state_dir, keys):
            logger.info("ticket_keys_changed", kids=sorted(keys))

    def _heartbeat(self) -> wire.Heartbeat:
        epoch = self._client.boot_epoch
        running = self._leases.own_sandboxes + len(self._sandboxes)
        return wire.Heartbeat(epoch, self._capacity, running, self.is_draining, machine.load())

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

    async def command(self, name: str) -> dict[str, Any]:
        """What the control socket answers."""
        match name.split():
            case ["drain"]:
                self.drain()
            case ["undrain"]:
                self.undrain()
            case ["status"]:
                pass
            case ["wake", sandbox_id]:
                return await self._sandboxes.wake(sandbox_id, "connection")
            case ["wake", sandbox_id, "exec"]:
                return await self._sandboxes.wake(sandbox_id, "exec")
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
            "sandboxes": self._sandboxes.status(),
        }


def _raise_if_unwelcome(error: Exception) -> None:
    """A key that the server does not know will not be known at the next try either."""
    if isinstance(error, ApiError) and error.status in (401, 403):
        raise error


def _is_empty(answer: wire.PollAnswer) -> bool:
    sandboxes = answer.sandboxes or answer.drop_sandboxes or answer.drop_volumes
    return not (answer.assignments or answer.drop or sandboxes or answer.questions)


def _site(
    config: Config,
    driver: Driver,
    client: Client,
    library: Library,
    uploads: Uploads,
    wake: Callable[[Box], None],
) -> Site:
    store = VolumeStore(state_root(config))
    locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
    depot = Depot(store, Shelf(store, config), library, client)
    holdings = Holdings(config.state_dir / HELD)
    return Site(
        config.state_dir, driver, holdings, depot, uploads, wake,
        lambda workspace: locks.setdefault(workspace, asyncio.Lock()),
        Traffic(config.state_dir, has_data_port=bool(config.data_address)),
    )  # fmt: skip
