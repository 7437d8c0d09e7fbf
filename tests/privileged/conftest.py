"""Real sandboxes, networks and cgroups, of an agent instance of this pytest process's own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from hostagent import images
from hostagent.config import Config
from hostagent.drivers.oci import OciDriver
from hostagent.drivers.statefs import close_state
from tests.privileged.leaks import no_leaks
from tests.privileged.sandbox import Sandboxes

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(DIRECTORY):
            item.add_marker(pytest.mark.privileged)
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="PRIVILEGED TESTS NOT RUN: they need root"))


def make_config(state_dir: Path, **settings: object) -> Config:
    """Names and addresses that no other pytest process and no agent on this machine uses."""
    number = (
        os.getpid() % 0x1000
    )  # pids of processes that run side by side differ in these bits, as good as always
    values: dict[str, object] = {
        "state_dir": state_dir,
        "instance": f"t{os.getpid():x}"[:8],
        "sandboxes": 4,
        "network4": f"10.{224 + (number >> 8)}.{number & 0xFF}.0/24",
        "network6": f"fd6d:6167:{number + 0x8000:x}::/64",
        "image_cache_dir": ROOT / "var/cache/images",
        "state_image_gb": 16,
    }
    return Config(**(values | settings))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def state_dir() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="mags-privileged-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def config(state_dir: Path) -> Iterator[Config]:
    """An agent's settings, and its state file system with the standard image on it."""
    config = make_config(state_dir)
    images.ensure(config, "standard", print)
    yield config
    close_state(config)


@pytest_asyncio.fixture
async def driver(config: Config) -> AsyncIterator[OciDriver]:
    """An open driver. After it is closed again, nothing of it is left on the host but one file."""
    driver = OciDriver(config)
    await driver.open()
    yield driver
    sandboxes = await driver.find()
    await driver.close(everything=True)
    await no_leaks(config)
    assert sandboxes == [], "the test left sandboxes behind"


@pytest.fixture
def sandboxes(driver: OciDriver) -> Sandboxes:
    return Sandboxes(driver)
