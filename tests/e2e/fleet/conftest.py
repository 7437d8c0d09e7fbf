"""One stack with three hosts for all tests of this directory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.fleet.fleet import SANDBOXES, Fleet
from tests.e2e.running import running_stack

# A host that is silent for so long has lost its leases: longer than a busy machine keeps it from a heartbeat.
LEASE_S = 6


@pytest.fixture(scope="package")
def running_fleet() -> Iterator[Fleet]:
    own = {"MAGS_AGENT_HOST_NAME": "a", "MAGS_AGENT_SANDBOXES": str(SANDBOXES["a"])}
    server = {"MAGS_HOST_LEASE_S": str(LEASE_S), "MAGS_HEARTBEAT_S": "1", "MAGS_CHECKPOINT_S": "0"}
    further = {name: count for name, count in SANDBOXES.items() if name != "a"}
    with running_stack(further, **own, **server) as stack:
        fleet = Fleet(stack)
        yield fleet
        fleet.http.close()


@pytest.fixture
def fleet(running_fleet: Fleet) -> Fleet:
    """All hosts take work."""
    running_fleet.only(*SANDBOXES)
    return running_fleet
