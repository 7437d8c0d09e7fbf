"""Held sandboxes as far as no real one is needed: what is refused, and what a failure leaves."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from hostagent import wire
from tests.agent.conftest import Agent
from tests.agent.fake_control_plane import FakeControlPlane
from tests.agent.fake_sandboxes import FakeWorkspace

UPLOAD = {"name": "a", "sha256": "0" * 64, "bytes": 1, "url": "http://127.0.0.1/a"}


@pytest.mark.parametrize(
    "wrong",
    [{"tenant": "../u1"}, {"image": "/"}, {"disk_gb": 0}, {"checkpoint_s": -1}, {"wish": "stop"}],
    ids=json.dumps,
)
async def test_invalid_wish_is_refused(agent: Agent, plane: FakeControlPlane, wrong: dict[str, Any]) -> None:
    sandbox = await plane.hold(FakeWorkspace(), **wrong)
    ended = await plane.ended(sandbox)
    assert ended["reason"] == "start_failed"
    assert not list((agent.config.state_dir / "held").iterdir())


async def test_run_of_a_sandbox_that_is_gone(agent: Agent, plane: FakeControlPlane) -> None:
    lease = await plane.submit("echo no", in_sandbox=True)
    end = await plane.finished(lease)
    assert (end["outcome"], end["message"]) == (
        "start_failed",
        "The sandbox could not be started: its sandbox has ended",
    )
    await agent.until_clean()


async def test_host_that_cannot_make_volumes_says_so(agent: Agent, plane: FakeControlPlane) -> None:
    """Its state directory is on no btrfs: the `ScriptDriver` needs none."""
    sandbox = await plane.hold(FakeWorkspace(), is_kept=False)
    lease = await plane.submit("echo no", in_sandbox=True, sandbox_id=sandbox.id)
    assert (await plane.finished(lease))["outcome"] == "start_failed"
    ended = await plane.ended(sandbox)
    assert ended["reason"] == "start_failed"
    assert str(agent.config.state_dir) not in ended["message"]
    await agent.until_clean()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\nb", "a\0", "ä" * 128])
def test_name_of_an_upload_that_is_none(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        wire.assignment_of(_assignment({**UPLOAD, "name": name}))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://a b/", "ftp://a/"])
def test_address_of_an_upload_that_is_none(url: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        wire.assignment_of(_assignment({**UPLOAD, "url": url}))


def test_upload_with_a_long_name_and_spaces() -> None:
    name = "a b" + "ä" * 126
    assert wire.assignment_of(_assignment({**UPLOAD, "name": name})).files[0].name == name


def _assignment(file: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode({
        "lease_id": 7, "lease_epoch": 1, "revision": 1, "wish": "run", "sandbox_id": "k" * 16,
        "job_id": "a-job", "tenant": "u12", "script": "true", "image": "standard", "vcpus": 1,
        "memory_mb": 64, "disk_gb": 1, "assigned_at": 1, "in_sandbox": True, "files": [file],
    }))  # fmt: skip
