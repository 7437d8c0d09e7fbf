"""The provider that tests sign in with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.accounts.oidc import Person, Provider
from tests.servers import RedisServer, free_ports


@pytest.fixture(scope="session")
def provider_process() -> Iterator[Provider]:
    with Provider(*free_ports(1)) as provider:
        yield provider


@pytest.fixture
def provider(provider_process: Provider, redis: RedisServer, settings: Any) -> Provider:
    """Set up as Google and as the other provider."""
    settings.GOOGLE_CLIENT_ID = settings.OIDC_CLIENT_ID = "mags"
    settings.GOOGLE_CLIENT_SECRET = settings.OIDC_CLIENT_SECRET = "a secret"
    settings.GOOGLE_ISSUER = settings.OIDC_ISSUER = provider_process.url
    settings.OIDC_NAME = "Example ID"
    settings.LOGIN_ATTEMPTS_PER_MINUTE = 1000  # all tests come from one address
    return provider_process


@pytest.fixture
def person(provider: Provider) -> Person:
    return Person(provider)
