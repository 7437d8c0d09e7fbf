"""What the agent does so that gateways reach its sandboxes: it says where, and hands on keys."""

from __future__ import annotations

import json

import pytest

from hostagent.config import load
from hostagent.errors import ConfigError
from hostagent.ticketkeys import FILE
from tests.agent.conftest import Agent
from tests.agent.fake_control_plane import FakeControlPlane

OLD, NEW = "A" * 43 + "=", "B" * 43 + "="


async def test_keys_are_written_and_replaced_when_others_come(agent: Agent, plane: FakeControlPlane) -> None:
    path = agent.config.state_dir / FILE

    async def learns(keys: dict[str, str]) -> None:
        plane.ticket_keys = keys
        await plane.wait(lambda: path.exists() and json.loads(path.read_text()) == keys)

    await plane.wait(lambda: plane.beats)
    await learns({"old": OLD})
    await learns({"old": OLD, "new": NEW})
    written = path.stat().st_ino
    beats = len(plane.beats)
    await plane.wait(lambda: len(plane.beats) > beats + 2)
    assert path.stat().st_ino == written  # the same keys again are no change


async def test_the_boot_says_where_the_data_port_is(agent: Agent, plane: FakeControlPlane) -> None:
    await plane.wait(lambda: plane.boots)
    assert plane.boots[0]["data_port"] == {"address": "127.0.0.1", "port": 8470}


async def test_a_sandbox_that_is_not_here_is_not_woken(agent: Agent, plane: FakeControlPlane) -> None:
    await plane.wait(lambda: plane.boots)
    assert agent.worker is not None
    for line in ("wake k3v9x0a1b2c3d4e5", "wake", "wake a b"):
        assert "error" in await agent.worker.command(line)


@pytest.mark.parametrize(
    ("text", "found"),
    [("", None), ("10.0.0.5:8470", ("10.0.0.5", 8470)), ("[fd00::5]:1", ("fd00::5", 1))],
)
def test_address_of_the_data_port(text: str, found: tuple[str, int] | None) -> None:
    assert load({"MAGS_AGENT_DATA_ADDRESS": text}).data_port() == found


@pytest.mark.parametrize("text", ["localhost:8470", "10.0.0.5", "10.0.0.5:x", ":8470", "10.0.0.5:0"])
def test_address_of_the_data_port_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="MAGS_AGENT_DATA_ADDRESS"):
        load({"MAGS_AGENT_DATA_ADDRESS": text}).data_port()
