"""A host with a data port, and a gateway that knows the key."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from accounts.models import User
from tests.gateways.asking import Gateway
from tests.jobs import factories
from tests.jobs.factories import Agent


@pytest.fixture
def owner() -> User:
    return factories.user()


@pytest.fixture
def agent(settings: Any) -> Agent:
    settings.TICKET_KEY = base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")
    return Agent(data_port={"address": "10.0.0.5", "port": 8470})


@pytest.fixture
def gateway(settings: Any) -> Gateway:
    settings.GATEWAY_KEY = "a-key-of-gateways"
    return Gateway("a-key-of-gateways")
