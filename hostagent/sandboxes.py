"""The held sandboxes of this host, and the volumes that stay of them: what the server says should exist,
against what the journal, the driver and the disk say does."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Iterable
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import structlog

from hostagent import heldwire, machine
from hostagent.drivers.base import Found
from hostagent.errors import AgentError, DriverError
from hostagent.holdings import HeldPhase, HeldRecord
from hostagent.keeper import REBOOTED, Keeper, Site
from hostagent.sandboxbox import SandboxBox
from hostagent.saving import workspace_of
from hostagent.volumes.threads import blocking

logger = structlog.get_logger(__name__)

ENDED_LIMIT = 100_000  # as in `hostagent.leases`
SWEEP_S = 5.0

_REPORTED_AS: dict[HeldPhase, heldwire.SandboxPhase] = {
    HeldPhase.ACCEPTED: "accepted",
    HeldPhase.RUNNING: "running",
    HeldPhase.ENDING: "ending",
    HeldPhase.SAVED: "ending",
    HeldPhase.FENCED: "ending",
}


class Sandboxes:
    """Each has a keeper from the moment it is accepted until nothing is left of it."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._boot_id = machine.boot_id()
        self._keepers: dict[str, Keeper] = {}
        self._is_known = asyncio.Event()  # which they are: an agent is spoken to before it has looked
        self._tasks: set[asyncio.Task[None]] = set()
        self._refused: dict[str, SandboxBox] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._unheard: set[str] = set()  # restored, and not spoken of by the server yet
        self._volumes: list[UUID] = []

    def __len__(self) -> int:
        return len(self._keepers)

    def ids(self) -> set[str]:
        return set(self._keepers)

    def get(self, sandbox_id: str) -> Keeper | None:
        return self._keepers.get(sandbox_id)

    async def detach(self) -> None:
        """Let go of all; the sandboxes stay."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def restore(self, found: Iterable[Found]) -> None:
        """Take over what an earlier agent left. Nothing goes on before the server has said what is still
        ours (`start`)."""
        shelf = self._site.depot.shelf
        await blocking(shelf.open)
        self._volumes = await blocking(shelf.workspaces)
        for record in self._site.holdings.load():
            self._keepers[record.sandbox_id] = self._restored(record)
        self._is_known.set()
        for sandbox in found:
            if sandbox.is_held and sandbox.sandbox_id not in self._keepers:
                logger.warning("orphan_destroyed", sandbox=sandbox.sandbox_id)
                await self._destroy(sandbox.sandbox_id)
        self._unheard = set(self._keepers)

    def _restored(self, record: HeldRecord) -> Keeper:
        logger.info("sandbox_restored", sandbox=record.sandbox_id, journal=record.phase)
        keeper = Keeper(self._site, record, is_restored=True)
        if record.phase is HeldPhase.RUNNING and record.machine_boot_id != self._boot_id:
            keeper.lose(REBOOTED)
        return keeper

    async def _destroy(self, sandbox_id: str) -> None:
        try:
            await self._site.driver.destroy(sandbox_id)
        except DriverError as error:
            logger.warning("destroy_failed", sandbox=sandbox_id, error=error.message)

    def reported(self) -> list[heldwire.ReportedSandbox]:
        """For the boot."""
        records = [keeper.record for keeper in self._keepers.values()]
        return [heldwire.ReportedSandbox(r.sandbox_id, r.wish.epoch, _REPORTED_AS[r.phase]) for r in records]

    def volumes(self) -> list[UUID]:
        """For the boot: workspaces that have files here."""
        return self._volumes

    def start(self) -> None:
        """After the boot. What was only accepted, and what the server does not speak of, is over."""
        for sandbox_id in self._unheard:
            keeper = self._keepers[sandbox_id]
            if keeper.record.phase is HeldPhase.ACCEPTED:
                keeper.drop()
            self._run(keeper)
        self._unheard.clear()
        self._start(self._sweep_for_ever())

    def apply(self, wishes: Iterable[msgspec.Raw], drop: Iterable[str], drop_volumes: Iterable[UUID]) -> None:
        """What the server wishes. Returns at once: keepers do the work."""
        for sandbox_id in drop:
            if keeper := self._keepers.get(sandbox_id):
                logger.info("sandbox_dropped", sandbox=sandbox_id)
                keeper.drop()
        for workspace in drop_volumes:
            self._start(self._delete(workspace))
        for raw in wishes:
            try:
                self._wish(heldwire.wish_of(raw))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self._refuse(heldwire.sandbox_key_of(raw), f"its wish is invalid: {error}")

    def _wish(self, wish: heldwire.SandboxWish) -> None:
        keeper = self._keepers.get(wish.sandbox_id) or self._accepted(wish)
        if keeper is None:
            return
        if keeper.record.wish.epoch != wish.epoch:
            logger.error("wish_contradicts", sandbox=wish.sandbox_id)
            return
        keeper.give(wish)
        if wish.sandbox_id in self._unheard:
            self._unheard.remove(wish.sandbox_id)
            self._run(keeper)

    def _accepted(self, wish: heldwire.SandboxWish) -> Keeper | None:
        if wish.sandbox_id in self._ended or wish.sandbox_id in self._refused:
            return None
        without_keys = msgspec.structs.replace(wish, ssh=None)  # they are in files of their own
        record = HeldRecord(without_keys, self._boot_id, machine.now_ms())
        self._site.holdings.write(record)
        keeper = self._keepers[wish.sandbox_id] = Keeper(self._site, record)
        logger.info("sandbox_accepted", sandbox=wish.sandbox_id)
        self._run(keeper)
        return keeper

    def _refuse(self, key: heldwire.SandboxKey | None, why: str) -> None:
        """A wish that cannot be trusted: say so, if it can be said whose it is; touch nothing."""
        logger.error("wish_refused", sandbox=key.sandbox_id if key else None, why=why)
        if key is None or key.sandbox_id in self._keepers or key.sandbox_id in self._refused:
            return
        box = self._refused[key.sandbox_id] = SandboxBox(key, self._site.wake, asyncio.Event())
        message = f"The host refused the sandbox: {why}"[:300]
        box.tell(heldwire.SandboxEnded(key.sandbox_id, key.epoch, machine.now_ms(), "start_failed", message))

    def _run(self, keeper: Keeper) -> None:
        task = self._start(keeper.run())
        task.add_done_callback(lambda done: self._on_gone(keeper, done))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _on_gone(self, keeper: Keeper, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        sandbox_id = keeper.record.sandbox_id
        if error := task.exception():  # it stays known, so that nobody touches its volume; a restart goes on
            logger.error("keeper_died", sandbox=sandbox_id, error=repr(error))
            return
        self._keepers.pop(sandbox_id, None)
        self._ended[sandbox_id] = None
        if len(self._ended) > ENDED_LIMIT:
            self._ended.popitem(last=False)

    async def wake(self, sandbox_id: str, cause: heldwire.WakeCause) -> dict[str, Any]:
        """For the data port: somebody connects to a sandbox that is frozen."""
        await self._is_known.wait()
        keeper = self._keepers.get(sandbox_id)
        if keeper is None:
            return {"error": "it is not on this host"}
        try:
            await keeper.wake(cause)
        except DriverError as error:
            return {"error": error.message}
        return {"awake": True}

    # --- Volumes that nobody uses ---

    async def _delete(self, workspace: UUID) -> None:
        """Of a workspace that was deleted. Waits for whoever uses it."""
        async with self._site.lock(workspace):
            await blocking(partial(self._site.depot.shelf.delete, workspace))
        logger.info("volume_dropped", workspace=str(workspace))

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self._sweep()
            except (OSError, AgentError) as error:  # tried again; nothing depends on it
                logger.warning("sweep_failed", error=str(error))
            await asyncio.sleep(SWEEP_S)

    async def _sweep(self) -> None:
        shelf = self._site.depot.shelf
        for workspace in await blocking(partial(shelf.due, self._in_use())):
            async with self._site.lock(workspace):
                # Asked again: a sandbox may have used it meanwhile.
                if workspace in await blocking(partial(shelf.due, self._in_use())):
                    await blocking(partial(shelf.remove, workspace))
        await blocking(shelf.remove_aside)

    def _in_use(self) -> set[UUID]:
        return {workspace_of(keeper.record.wish) for keeper in self._keepers.values()}

    def status(self) -> list[dict[str, Any]]:
        """For people."""
        return [
            {
                "sandbox": r.sandbox_id, "workspace": str(workspace_of(r.wish)), "phase": r.phase,
                "kept": r.wish.is_kept, "started_at": r.started_at or None, "asleep": r.sleep is not None,
            }
            for r in (keeper.record for keeper in self._keepers.values())
        ]  # fmt: skip
