"""Ends what a credential holds open (long polls, WebSockets) once it does not count any more.

One look at the database for all of a process: every two seconds, and at once when somebody says that one has
changed. The app that knows credentials says what they are, and which of them still count.

    async with held(request.auth) as hold:  # TimeoutError, with `hold.error` set, once it is refused
        ...
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextvars import Context

from asgiref.sync import sync_to_async
from django.db import Error as DatabaseFailure  # with it a connection that is closed
from django.db import models

from core.errors import MagsError
from core.threads import threads
from core.wakeup import listening, wake_on_commit

logger = logging.getLogger(__name__)

GROUP = "credentials"
CHECK_S = 2.0  # what is refused is noticed within this time, also where Redis is away and when it expires

# Which of these (by primary key) do not count any more, and why.
Refused = Callable[[Collection[int]], Mapping[int, MagsError]]


class Hold:
    """One connection that lasts as long as its credential counts."""

    def __init__(self, limit: asyncio.Timeout) -> None:
        self._limit = limit
        self.error: MagsError | None = None

    def end(self, error: MagsError) -> None:
        if self.error is None:
            self.error = error
            self._limit.reschedule(asyncio.get_running_loop().time())


class _Watch:
    """All holds of one event loop, and the one task that looks after them."""

    def __init__(self) -> None:
        self.holds: defaultdict[int, set[Hold]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None

    def add(self, key: int, hold: Hold) -> None:
        self.holds[key].add(hold)
        if self._task is None or self._task.done():
            # Not in the context of the request that happens to be the first: this outlives it.
            self._task = asyncio.create_task(self._run(), name="credentials", context=Context())

    def remove(self, key: int, hold: Hold) -> None:
        self.holds[key].discard(hold)
        if not self.holds[key]:
            del self.holds[key]

    async def _run(self) -> None:
        async with listening(GROUP) as waiter:
            while self.holds:
                try:
                    refused = await _look(list(self.holds))
                except DatabaseFailure as trouble:  # nobody is sent away for that
                    logger.warning("cannot see which credentials still count: %s", trouble)
                    refused = {}
                for key, error in refused.items():
                    for hold in list(self.holds.get(key, ())):
                        hold.end(error)
                await waiter.wait(CHECK_S)


async def _look(keys: list[int]) -> Mapping[int, MagsError]:
    return await sync_to_async(_refused, thread_sensitive=False, executor=threads)(keys)


_watches: dict[asyncio.AbstractEventLoop, _Watch] = {}
_kind: type[models.Model] | None = None
_refused: Refused = lambda _: {}  # noqa: E731 - until somebody knows better


def register(kind: type[models.Model], refused: Refused) -> None:
    """What credentials that can be refused later are objects of."""
    global _kind, _refused
    _kind, _refused = kind, refused


def changed() -> None:
    """Have all processes look, once the present transaction commits."""
    wake_on_commit(GROUP)


@contextlib.asynccontextmanager
async def held(credential: object) -> AsyncIterator[Hold]:
    """Ends what is done in it by TimeoutError once the credential is refused. A session's is never."""
    async with asyncio.timeout(None) as limit:
        hold = Hold(limit)
        if _kind is None or not isinstance(credential, _kind):
            yield hold
            return
        watch = _watch()
        watch.add(credential.pk, hold)
        try:
            yield hold
        finally:
            watch.remove(credential.pk, hold)


def _watch() -> _Watch:
    loop = asyncio.get_running_loop()
    for other in [other for other in _watches if other.is_closed()]:
        del _watches[other]
    return _watches.setdefault(loop, _Watch())
