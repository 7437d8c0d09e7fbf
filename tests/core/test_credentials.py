"""What watches over the credentials of open connections goes on whatever becomes of the database."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, InterfaceError

from accounts.errors import TokenRevoked
from accounts.models import ApiToken
from core import credentials
from core.errors import MagsError
from tests.servers import RedisServer

LIMIT_S = 10.0


@pytest.mark.django_db
@pytest.mark.parametrize("trouble", [DatabaseError, InterfaceError])
def test_a_database_that_is_away_ends_nothing_and_not_the_watch(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, trouble: type[Exception]
) -> None:
    looks: list[int] = []

    def refused(keys: Collection[int]) -> Mapping[int, MagsError]:
        looks.append(len(keys))
        if len(looks) == 1:
            raise trouble("away")
        return {key: TokenRevoked() for key in keys}

    async def hold() -> MagsError | None:
        held = None
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(LIMIT_S), credentials.held(ApiToken(pk=1)) as held:
                await asyncio.Event().wait()
        return held.error if held else None

    monkeypatch.setattr(credentials, "_refused", refused)
    monkeypatch.setattr(credentials, "CHECK_S", 0.01)
    with ThreadPoolExecutor(1) as thread:
        assert isinstance(thread.submit(asyncio.run, hold()).result(), TokenRevoked)
    assert looks == [1, 1]
