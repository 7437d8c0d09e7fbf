"""An account, and usage of it that is made of rows with times to choose."""

from __future__ import annotations

import pytest

from accounts.models import User
from tests.accounts.factories import user
from tests.usage.factories import Load


@pytest.fixture
def owner(db: None) -> User:
    return user()


@pytest.fixture
def load(owner: User) -> Load:
    return Load(owner)
