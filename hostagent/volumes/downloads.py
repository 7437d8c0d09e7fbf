"""Segments in order, fetched ahead of where they are needed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator

from hostagent.volumes.chain import Link
from hostagent.volumes.errors import Damaged, ObjectMissing, ObjectWrong
from hostagent.volumes.manifest import Segment
from hostagent.volumes.objects import ObjectStore

AHEAD = 4  # of 8 MiB each, at most


class Downloads:
    """`next` gives the segments of the links, one after the other. Nothing goes on after its `async with`."""

    def __init__(self, objects: ObjectStore, links: Iterable[Link]) -> None:
        self._objects = objects
        self._coming = _segments(links)
        self._tasks: deque[asyncio.Task[bytes]] = deque()

    async def __aenter__(self) -> Downloads:
        self._fill()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def next(self) -> bytes:
        data = await self._tasks[0]
        self._tasks.popleft()
        self._fill()
        return data

    def _fill(self) -> None:
        while len(self._tasks) < AHEAD and (coming := next(self._coming, None)):
            self._tasks.append(asyncio.create_task(self._fetch(*coming)))

    async def _fetch(self, version: str, segment: Segment) -> bytes:
        try:
            return await self._objects.get(segment.sha256, segment.stored_bytes)
        except (ObjectMissing, ObjectWrong) as error:
            raise Damaged(version, segment.sha256, error.message) from error


def _segments(links: Iterable[Link]) -> Iterator[tuple[str, Segment]]:
    for link in links:
        for segment in link.manifest.segments:
            yield link.sha256, segment
