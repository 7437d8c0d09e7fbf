"""How one held sandbox begins: its files, its container. Or why it never was up."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from hostagent import machine, outcome
from hostagent.drivers.base import Driver, SandboxSpec
from hostagent.errors import AgentError, DriverError, StaleBoot, StaleSandbox
from hostagent.fields import Stages
from hostagent.heldwire import DamagedObject
from hostagent.holdings import HeldPhase, Holding
from hostagent.sandbox import Sandbox
from hostagent.saving import HeldVolume
from hostagent.uploads import Uploads
from hostagent.volumes.errors import Damaged, StorageUnavailable
from hostagent.waiting import unless

NOT_UP = "Ended before it was up."
STORE_AWAY = "The workspace could not be restored: the object store does not answer."


@dataclass(frozen=True, slots=True)
class Beginning:
    holding: Holding
    driver: Driver
    sandbox: Sandbox
    volume: HeldVolume
    uploads: Uploads
    log: Any

    async def begin(self, end_wished: asyncio.Event, *, is_restored: bool) -> None:
        """Until it is up, or known why it ends. `is_restored`: an earlier agent may have made some of it."""
        try:
            if not await unless(end_wished, self._build(is_restored=is_restored)):
                self.holding.end("stopped", NOT_UP)
        except Damaged as error:
            damaged = DamagedObject(error.version, error.object)
            self.holding.end("damaged", outcome.sentence("The workspace is damaged", error), damaged)
        except DriverError as error:
            self.holding.end("start_failed", outcome.start_failed_message(error))
        except OSError as error:
            self.log.exception("volume_failed", error=str(error))
            self.holding.end("start_failed", outcome.start_failed_message(DriverError(str(error))))
        except (StaleSandbox, StaleBoot):
            raise
        except StorageUnavailable as error:  # its words name addresses
            self.log.warning("restore_failed", error=error.message)
            self.holding.end("restore_failed", STORE_AWAY)
        except AgentError as error:
            self.holding.end("restore_failed", outcome.sentence("The workspace could not be restored", error))

    async def _build(self, *, is_restored: bool) -> None:
        if is_restored:
            await self.sandbox.destroy()
        record = self.holding.record
        wish = record.wish
        live = await self.volume.ready()
        ready_at = machine.now_ms()
        spec = SandboxSpec(
            wish.sandbox_id, wish.tenant, wish.image, b"", vcpus=wish.vcpus, memory_mb=wish.memory_mb,
            disk_gb=wish.disk_gb, upper=live, uploads=self.uploads.make(wish.sandbox_id),
            image_build=self.volume.build, is_held=True,
        )  # fmt: skip
        await self.driver.create(spec)
        await self.driver.start(wish.sandbox_id)
        record.started_at = machine.now_ms()
        record.stages = Stages(0, ready_at - record.accepted_at, record.started_at - ready_at)
        self.holding.move(HeldPhase.RUNNING)
