"""When the files of a held sandbox are saved: on wish, now and then, and at the end."""

from __future__ import annotations

import asyncio
from typing import Any

from hostagent.backoff import Backoff, jitter
from hostagent.errors import AgentError, StaleBoot, StaleSandbox
from hostagent.heldwire import VersionReason, VolumeSize
from hostagent.holdings import HeldRecord
from hostagent.sandboxbox import SandboxBox
from hostagent.savetrouble import Trouble, kind_of
from hostagent.saving import HeldVolume
from hostagent.volumes.errors import PathTooLong

MEASURE_S = 60.0


class Saver:
    """Its calls come one at a time."""

    def __init__(
        self, volume: HeldVolume, record: HeldRecord, box: SandboxBox, trouble: Trouble, log: Any
    ) -> None:
        self.changed = asyncio.Event()  # the wish
        self._volume = volume
        self._record = record
        self._box = box
        self._trouble = trouble
        trouble.listen(self._say_trouble)
        self._log = log
        self._disk_gb = 0  # what its volume has got; not journaled: given again it does no harm
        # Not journaled: an answer may be lost with its agent, and a wish may be answered twice.
        self._synced = 0
        self._told: tuple[int, bool] | None = None
        self._asked: list[asyncio.Future[bool]] = []

    async def run(self) -> None:
        """Until cancelled. StaleSandbox when it must not go on."""
        while True:
            self.changed.clear()
            await self._resize()
            if self._wished_sync:
                await self._sync()
                continue
            if self._asked:
                await self._answer_asked()
                continue
            await self._measure()
            try:
                async with asyncio.timeout(jitter(self._period_s or MEASURE_S)):
                    await self.changed.wait()
            except TimeoutError:
                if self._period_s:
                    await self._checkpoint()

    def checkpoint(self) -> asyncio.Future[bool]:
        """Have saved what is written by now, if it is to be saved at all; tried until it works. False where
        that is impossible."""
        asked: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if self.saves_all:
            self._asked.append(asked)
            self.changed.set()
        else:
            asked.set_result(True)
        return asked

    async def _answer_asked(self) -> None:
        asked, self._asked = self._asked, []  # who asks from now on may have written more
        is_saved = await self._checkpoint()
        for one in asked:
            if not one.cancelled():
                one.set_result(is_saved)

    async def _checkpoint(self) -> bool:
        try:
            await self._save("checkpoint", 0)
        except PathTooLong:  # logged; somebody may rename the file
            return False
        return True

    async def save_last(self, reason: VersionReason) -> None:
        """What was not saved yet, and what was asked for and not answered."""
        if self._volume.is_scratch or not self._volume.is_made:
            return
        if sync := self._wished_sync:
            await self._answer(reason, sync)
        elif self._record.wish.volume.is_saved:
            await self._save(reason, 0)

    @property
    def is_saved(self) -> bool:
        """Whether nothing of the volume is lost where it is removed after `save_last`."""
        return self._record.wish.volume.is_saved or self._synced > 0

    @property
    def saves_all(self) -> bool:
        """Whether all that is written is to be durable, at the end if not before."""
        return self._record.wish.volume.is_saved and not self._volume.is_scratch

    @property
    def _wished_sync(self) -> int:
        sync = self._record.wish.sync
        return sync if sync > self._synced and not self._volume.is_scratch else 0

    @property
    def _period_s(self) -> float:
        """Between checkpoints; 0: there are none."""
        return self._record.wish.checkpoint_s if self.saves_all else 0

    async def _resize(self) -> None:
        """A volume that holds more than it may is asked again, now and then."""
        disk_gb = self._record.wish.disk_gb
        try:
            if disk_gb != self._disk_gb and await self._volume.resize(disk_gb):
                self._disk_gb = disk_gb
        except OSError as error:
            self._log.warning("volume_not_resized", error=str(error))

    async def _sync(self) -> None:
        sync = self._wished_sync
        try:
            await self._answer("sync", sync)
        except PathTooLong:  # logged; the next sync may do better
            self._synced = sync

    async def _answer(self, reason: VersionReason, sync: int) -> None:
        if not await self._save(reason, sync):
            tree_bytes, _ = await self._size() or self._told or (0, False)
            self._tell(tree_bytes, is_dirty=False, sync=sync)
        self._synced = sync

    async def _save(self, reason: VersionReason, sync: int) -> bool:
        """Tried until it works. False where nothing was changed since the last version."""
        backoff = Backoff()
        while True:
            try:
                is_new = await self._volume.save(reason, sync)
                self._trouble.over()
                return is_new
            except (StaleSandbox, StaleBoot):
                raise
            except (AgentError, OSError) as error:
                self._log.warning("save_failed", reason=reason, error=str(error))
                if isinstance(error, PathTooLong):
                    raise
                self._trouble.met(kind_of(error))
            await asyncio.sleep(backoff.next_s())

    async def _measure(self) -> None:
        size = await self._size()
        if size is not None and size != self._told:
            self._told = size
            self._tell(size[0], is_dirty=size[1], sync=0)

    async def _size(self) -> tuple[int, bool] | None:
        """Bytes, and whether they look changed; None where that cannot be read now. No save depends on it."""
        try:
            return await self._volume.size()
        except OSError as error:
            self._log.warning("volume_not_measured", error=str(error))
            return None

    def _say_trouble(self) -> None:
        """That saving fails, or works again."""
        tree_bytes, is_dirty = self._told or (0, True)
        self._tell(tree_bytes, is_dirty=is_dirty, sync=0)

    def _tell(self, tree_bytes: int, *, is_dirty: bool, sync: int) -> None:
        wish = self._record.wish
        self._box.tell(
            VolumeSize(wish.sandbox_id, wish.epoch, tree_bytes, is_dirty, sync, self._trouble.said)
        )
