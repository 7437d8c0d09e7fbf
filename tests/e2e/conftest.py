"""One whole stack for all tests of this directory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.running import RunningStack, running_stack


@pytest.fixture(scope="package")
def stack() -> Iterator[RunningStack]:
    with running_stack() as running:
        yield running
