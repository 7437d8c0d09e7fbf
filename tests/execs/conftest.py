"""An account, and hosts that its sandboxes are on."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from execs import talk
from jobs.models import Job
from tests.execs.hosts import ScriptedHost
from tests.jobs import factories, held
from tests.jobs.factories import Agent

Place = Callable[..., Job]


@pytest.fixture
def owner() -> User:
    return factories.user()


@pytest.fixture
def client(owner: User) -> Client:
    return factories.client_of(owner)


@pytest.fixture(autouse=True)
def key(settings: Any) -> None:
    settings.TICKET_KEY = base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is waited for who does not answer in these tests."""
    monkeypatch.setattr(talk, "AGAIN_S", 0.3)


@pytest.fixture
def placed(owner: User) -> Place:
    """A job whose sandbox is up, on this host."""

    def place(host: ScriptedHost | int, **spec: Any) -> Job:
        port = host if isinstance(host, int) else host.port
        agent = Agent(data_port={"address": "127.0.0.1", "port": port})
        job = held.idle(agent, owner, **spec)
        job.owner = owner  # read already, for tests on an event loop
        job.agent = agent  # type: ignore[attr-defined]  # for tests that let it speak
        return job

    return place
