"""An account with a workspace, and a client of the API that is signed in to it."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import User
from tests.jobs import factories, held


@pytest.fixture
def owner() -> User:
    made = factories.user()
    held.job(made, "web")
    return made


@pytest.fixture
def client(owner: User) -> Client:
    return factories.client_of(owner)
