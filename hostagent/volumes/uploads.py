"""Several puts at once, not more than so many bytes of them."""

from __future__ import annotations

import asyncio

from hostagent.volumes.objects import ObjectStore

PARALLEL = 4  # of 8 MiB each


class Uploads:
    """`add` waits for room and raises what befell an earlier one. Nothing goes on after its `async with`."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Uploads:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def add(self, sha256: str, data: bytes) -> None:
        await self._wait(PARALLEL - 1)
        self._tasks.add(asyncio.create_task(self._objects.put(sha256, data)))

    async def finish(self) -> None:
        """All that was added is stored."""
        await self._wait(0)

    async def _wait(self, most: int) -> None:
        while len(self._tasks) > most:
            done, self._tasks = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            errors = [error for task in done if (error := task.exception()) is not None]
            if errors:
                raise errors[0]
