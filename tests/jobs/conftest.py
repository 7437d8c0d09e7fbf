"""An account, and a client of the API that is signed in to it."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import User
from tests.jobs import factories


@pytest.fixture
def owner() -> User:
    return factories.user()


@pytest.fixture
def client(owner: User) -> Client:
    return factories.client_of(owner)
