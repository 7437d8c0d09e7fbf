"""Scripts in held sandboxes: several at a time, beside what others left running there."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from hostagent.drivers.base import Driver, Exit, Phase, RunSpec
from hostagent.errors import DriverError
from hostagent.journal import Record
from hostagent.keeper import Keeper
from hostagent.sandbox import Place
from hostagent.uploads import Uploads
from hostagent.waiting import first
from hostagent.wire import Assignment

NO_SANDBOX = "its sandbox has ended"


class Insider(Place):
    """`keeper` is None where the held sandbox is gone."""

    def __init__(
        self, driver: Driver, keeper: Keeper | None, record: Record, uploads: Uploads, log: Any
    ) -> None:
        super().__init__(driver.runs, record.life, log)
        self._uploads = uploads
        self._driver = driver
        self._keeper = keeper
        self._record = record
        self._abandoned = asyncio.Event()

    async def create(self, assignment: Assignment) -> dict[str, int]:
        keeper = self._keeper
        if keeper is None:
            raise DriverError(NO_SANDBOX)
        coming = asyncio.create_task(self._prepare(keeper, assignment))
        try:
            await first(coming, self._abandoned)
            if not coming.done():
                raise DriverError("it is not wanted any more")
            coming.result()
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        spec = RunSpec(
            self._record.sandbox_id, self._record.run_id, assignment.script.encode(), assignment.environment
        )
        return await self._driver.runs.create(spec)

    async def start(self) -> None:
        if self._keeper is None:
            raise DriverError(NO_SANDBOX)
        async with self._keeper.awake():
            await super().start()

    async def ask_to_end(self, waiting: asyncio.Task[Exit], grace_s: float) -> None:
        await self._wake()
        await super().ask_to_end(waiting, grace_s)

    async def kill(self) -> None:
        await self._wake()
        await super().kill()

    async def _wake(self) -> None:
        """In a frozen sandbox no run can be ended alone."""
        if self._keeper is not None:
            with contextlib.suppress(DriverError):  # it is ending, and all in it
                await self._keeper.wake("run")

    async def _prepare(self, keeper: Keeper, assignment: Assignment) -> None:
        """The addresses of uploads are good for minutes only: they are fetched while the sandbox is made."""
        await self._uploads.fetch(self._record.sandbox_id, assignment.files)
        await keeper.up()

    def abandon(self) -> None:
        self._abandoned.set()

    async def is_started(self) -> bool:
        started = (Phase.RUNNING, Phase.EXITED)
        found = await self._driver.runs.find(self._record.sandbox_id)
        return any(run.key == self._key and run.phase in started for run in found)

    def leave(self) -> None:
        if self._keeper is not None:
            self._keeper.occupants.leave(self._record.lease_id)
