"""Who may log in to a sandbox: the files, in which order they change, and who is put out."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hostagent import control
from hostagent.errors import AgentError
from hostagent.heldwire import SandboxKey, SshReady, SshWish
from hostagent.sshkeys import SshKeys

KEY = SandboxKey("k3v9x0a1b2c3d4e5", 4)
PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
ANN, BOB = "ssh-ed25519 AAAA ann", "ssh-ed25519 BBBB bob"


def wish(*users: str, text: str = PEM) -> SshWish:
    return SshWish(text, list(users), hashlib.sha256("".join(users).encode()).hexdigest())


class State:
    """A host's state directory with one sandbox, and what was said and asked."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = root / "fs/sandboxes" / KEY.sandbox_id / "ssh"
        self.files.parent.mkdir(parents=True)
        (root / "data-port").mkdir()
        self.told: list[SshReady] = []
        self.closed: list[tuple[str, str]] = []  # what was asked, and who could log in by then

        self.failed = asyncio.Event()  # and was said in the log
        self._news = asyncio.Event()

    def keys(self) -> SshKeys:
        return SshKeys(self.root, KEY, self._tell, self)

    def _tell(self, item: SshReady) -> None:
        self.told.append(item)
        self._news.set()

    async def until_told(self, wanted: SshWish) -> None:
        while not self.told or self.told[-1].digest != wanted.digest:
            self._news.clear()
            await self._news.wait()

    def info(self, event: str, **values: object) -> None:
        """As a log."""

    def warning(self, event: str, **values: object) -> None:
        self.failed.set()

    @contextlib.asynccontextmanager
    async def following(self, keys: SshKeys) -> AsyncIterator[None]:
        task = asyncio.create_task(keys.follow())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def authorized(self) -> str:
        return (self.files / "authorized_keys").read_text()

    @contextlib.asynccontextmanager
    async def data_port(self) -> AsyncIterator[None]:
        async def answer(command: str) -> dict[str, Any]:
            self.closed.append((command, self.authorized))
            return {"closed": 1}

        async with control.serve(self.root / "data-port", answer):
            yield


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


async def put(keys: SshKeys, wanted: SshWish | None) -> None:
    keys.give(wanted)
    await keys.put()


async def test_first_keys_need_nobody_to_be_put_out(state: State) -> None:
    await put(state.keys(), wish(ANN))
    assert state.authorized == f"{ANN}\n"
    assert {path.name: path.stat().st_mode & 0o777 for path in state.files.iterdir()} == dict.fromkeys(
        ("host_key", "authorized_keys", "in_force"), 0o600
    )
    assert state.files.stat().st_mode & 0o777 == 0o700
    assert state.told == [SshReady(KEY.sandbox_id, KEY.epoch, wish(ANN).digest)]


async def test_more_keys_cut_nobody_and_fewer_do(state: State) -> None:
    keys = state.keys()
    async with state.data_port():
        await put(keys, wish(ANN))
        await put(keys, wish(ANN, BOB))
        assert state.closed == []
        await put(keys, wish(BOB))
    assert state.closed == [(f"close {KEY.sandbox_id} ssh", f"{BOB}\n")]
    assert [item.digest for item in state.told] == [wish(*w).digest for w in ((ANN,), (ANN, BOB), (BOB,))]


async def test_the_same_keys_in_other_words_change_nothing(state: State) -> None:
    keys = state.keys()
    await put(keys, wish(ANN))
    await put(keys, wish(ANN, text=f"{PEM}other"))
    assert (state.files / "host_key").read_text() == PEM
    assert len(state.told) == 1


async def test_a_successor_says_it_again_and_cuts_nobody(state: State) -> None:
    await put(state.keys(), wish(ANN))
    await put(state.keys(), wish(ANN))
    assert len(state.told) == 2


@pytest.mark.parametrize("wanted", [wish(), wish(BOB), None])
async def test_nothing_is_said_before_sessions_are_cut(state: State, wanted: SshWish | None) -> None:
    keys = state.keys()
    await put(keys, wish(ANN))
    with pytest.raises(AgentError):  # no data port answers
        await put(keys, wanted)
    assert ANN not in state.authorized
    assert len(state.told) == 1
    async with state.data_port():
        await keys.put()
    assert len(state.closed) == 1


@pytest.mark.parametrize("wanted", [wish(), wish(BOB), None])
async def test_a_successor_cuts_what_its_predecessor_did_not(state: State, wanted: SshWish | None) -> None:
    keys = state.keys()
    await put(keys, wish(ANN))
    with pytest.raises(AgentError):
        await put(keys, wanted)
    async with state.data_port():
        await put(state.keys(), wanted)
    assert len(state.closed) == 1


async def test_without_a_wish_nobody_may_log_in(state: State) -> None:
    keys = state.keys()
    await put(keys, wish(ANN))
    async with state.data_port():
        await put(keys, None)
        await put(keys, None)
    assert state.closed == [(f"close {KEY.sandbox_id} ssh", "")]
    assert list(state.files.iterdir()) == []


async def test_it_goes_on_trying_while_the_data_port_is_away(state: State) -> None:
    keys = state.keys()
    await put(keys, wish(ANN))
    keys.give(wish())
    async with state.following(keys), asyncio.timeout(20):
        await state.failed.wait()
        assert len(state.told) == 1
        async with state.data_port():
            await state.until_told(wish())
    assert len(state.closed) == 1


async def test_nothing_is_touched_before_the_server_has_spoken(state: State) -> None:
    """A successor holds sandboxes whose wishes it has not heard yet."""
    await put(state.keys(), wish(ANN))
    state.told.clear()
    keys = state.keys()
    async with state.data_port(), state.following(keys), asyncio.timeout(20):
        await asyncio.sleep(0)  # it has begun
        keys.give(wish(ANN))
        await state.until_told(wish(ANN))
    assert state.closed == []
