"""A host and a gateway that play their parts, and a server that can make SSH keys."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from tests.gateways.asking import Gateway
from tests.jobs import factories
from tests.jobs.factories import Agent
from tests.ssh.opening import Host

SECRET = "a-secret-of-forty-characters-for-tests-1"


@pytest.fixture(autouse=True)
def ssh_is_set_up(settings: Any) -> None:
    settings.SSH_SECRET = SECRET
    settings.SSH_PORTS = range(22_000, 22_010)
    settings.SSH_HOST = "mags.example"


@pytest.fixture
def owner() -> User:
    return factories.user()


@pytest.fixture
def client(owner: User) -> Client:
    return factories.client_of(owner)


@pytest.fixture
def gateway(settings: Any) -> Gateway:
    settings.GATEWAY_KEY = "a-key-of-gateways"
    return Gateway("a-key-of-gateways")


@pytest.fixture
def host(settings: Any) -> Host:
    settings.TICKET_KEY = "A" * 43
    return Host(Agent(data_port={"address": "10.0.0.5", "port": 8470}))
