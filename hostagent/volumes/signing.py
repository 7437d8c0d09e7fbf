"""Collects what is to be signed: many small requests to the control plane become few."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from msgspec import Struct, field

from hostagent.volumes.errors import StorageRefused

SIGN_LIMIT = 1000  # of each kind in one request (POST /objects)


class SignedPut(Struct, frozen=True):
    url: str
    headers: dict[str, str] = field(default_factory=dict)


class Signed(Struct, frozen=True):
    """Of some objects, by sha256: where to get them, and where and with what headers to put them."""

    get: dict[str, str] = field(default_factory=dict)
    put: dict[str, SignedPut] = field(default_factory=dict)


# Objects to get, and objects with their sizes to put.
Sign = Callable[[Sequence[str], Sequence[tuple[str, int]]], Awaitable[Signed]]


class Signer:
    """While one request is under way, what is asked for gathers for the next."""

    def __init__(self, sign: Sign) -> None:
        self._sign = sign
        self._gets: dict[str, asyncio.Future[str]] = {}
        self._puts: dict[tuple[str, int], asyncio.Future[SignedPut]] = {}
        self._task: asyncio.Task[None] | None = None

    async def get(self, sha256: str) -> str:
        future = self._gets.setdefault(sha256, asyncio.get_running_loop().create_future())
        self._start()
        return await asyncio.shield(future)

    async def put(self, sha256: str, size: int) -> tuple[str, dict[str, str]]:
        future = self._puts.setdefault((sha256, size), asyncio.get_running_loop().create_future())
        self._start()
        signed = await asyncio.shield(future)
        return signed.url, signed.headers

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._gets or self._puts:
            gets = _take(self._gets)
            puts = _take(self._puts)
            try:
                signed = await self._sign(list(gets), list(puts))
            except BaseException as error:  # for those who wait; a cancelled task must not leave them hanging
                _fail([*gets.values(), *puts.values()], error)
                if not isinstance(error, Exception):
                    raise
                continue
            for sha256, get in gets.items():
                _answer(get, signed.get.get(sha256))
            for (sha256, _), put in puts.items():
                _answer(put, signed.put.get(sha256))


def _take(waiting: dict[Any, asyncio.Future[Any]]) -> dict[Any, asyncio.Future[Any]]:
    keys = list(islice(waiting, SIGN_LIMIT))
    return {key: waiting.pop(key) for key in keys}


def _answer(future: asyncio.Future[Any], value: object) -> None:
    if value is None:
        _fail([future], StorageRefused("the control plane signed something else"))
    else:
        future.set_result(value)


def _fail(futures: Iterable[asyncio.Future[Any]], error: BaseException) -> None:
    for future in futures:
        future.set_exception(error if isinstance(error, Exception) else StorageRefused(f"cut off: {error!r}"))
        future.exception()  # whoever waited may be gone
