"""Keeps the images of this host up with the registry, in the background, for as long as the agent runs."""

from __future__ import annotations

import asyncio
import sys

import structlog

from hostagent.backoff import Backoff, jitter
from hostagent.config import Config
from hostagent.errors import AgentError, StaleBoot
from hostagent.library import Library

logger = structlog.get_logger(__name__)

RETRY_S = 60.0  # between two tries to fetch what cannot be fetched
TRIES_LIMIT = 3  # of one publication


class Librarian:
    def __init__(self, config: Config, library: Library) -> None:
        self._config = config
        self._library = library
        self.may_publish = False

    async def run(self) -> None:
        publishing = asyncio.create_task(self._publish())
        try:
            await self._fetch_for_ever()
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
            await self._library.close()

    async def _fetch_for_ever(self) -> None:
        while True:
            await self._library.changed.wait()
            self._library.changed.clear()
            try:
                await self._library.keep_up(may_publish=self.may_publish)
            except StaleBoot:
                raise
            except (AgentError, OSError):  # logged, each one
                await self._again_later()
            except Exception:  # an image that cannot be read must not end the agent of all sandboxes
                logger.exception("images_not_kept_up")
                await self._again_later()

    async def _again_later(self) -> None:
        await asyncio.sleep(jitter(RETRY_S))
        self._library.changed.set()

    async def _publish(self) -> None:
        """Once, when the start of everything is over: what this host has made and the registry has not."""
        if not self._config.image_publish_s:
            return
        await asyncio.sleep(self._config.image_publish_s)
        if not self.may_publish:
            return
        backoff = Backoff()
        for _ in range(TRIES_LIMIT):
            try:
                names = await self._library.keep_up(may_publish=True)
                failed = [name for name in names if not await self._push(name)]
            except (AgentError, OSError) as error:
                logger.warning("images_not_published", error=str(error))
            else:
                if not failed:
                    return
            await asyncio.sleep(backoff.next_s())

    async def _push(self, name: str) -> bool:
        """In a process of its own and of the least priority: reading, packing and putting take long."""
        least = ("nice", "-n", "19", "setpriv", "--pdeathsig=KILL", "--")
        arguments = ("--state-dir", str(self._config.state_dir), "image", "push", name)
        process = await asyncio.create_subprocess_exec(
            *(*least, sys.executable, "-m", "hostagent", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        text = said.decode(errors="replace").strip()[-500:]
        logger.info("image_pushed", image=name, status=process.returncode, said=text)
        return process.returncode == 0
