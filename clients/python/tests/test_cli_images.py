"""`mags image list`, and the image that a script is to run on."""

from __future__ import annotations

import json

import pytest
from conftest import Command
from fake_server import FakeServer

HOSTILE = "al\x1b[2Jpine"


@pytest.fixture(autouse=True)
def images(server: FakeServer) -> None:
    nothing = {"size_bytes": None, "stored_bytes": None, "created_at": None}
    server.images = [
        {
            "name": HOSTILE, "build": "alpine-1", "builds": 1, "size_bytes": 8_000_000,
            "stored_bytes": 3_000_000, "created_at": "2026-11-23T07:30:00.123Z",
        },
        {"name": "standard", "build": None, "builds": 0, **nothing},
    ]  # fmt: skip


def test_piped_list_is_columns_and_tabs(mags: Command) -> None:
    assert mags("image", "list").stdout.decode().splitlines() == [
        "NAME\tBUILD\tSIZE_BYTES\tCREATED_AT",
        "al\\x1b[2Jpine\talpine-1\t8000000\t2026-11-23T07:30:00.123Z",
        "standard\t\t\t",
    ]


def test_list_as_json(mags: Command, server: FakeServer) -> None:
    assert json.loads(mags("image", "list", "--json").stdout) == {"images": server.images, "total": 2}


@pytest.mark.parametrize("flag", ["--image", "--rootfs"])
def test_run_names_the_image(mags: Command, server: FakeServer, flag: str) -> None:
    assert mags("run", "-d", flag, "alpine", "true").returncode == 0
    assert server.next_job().sent["rootfs_type"] == "alpine"
