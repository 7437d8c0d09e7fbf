"""Further hosts on one machine: what keeps their agents apart."""

from __future__ import annotations

import os
import shutil
from ipaddress import ip_network
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from deploy import agents, credentials, down, hosts
from deploy.errors import SetupError
from deploy.layout import Layout
from deploy.processes import all_processes
from hostagent.config import load
from hostagent.drivers.owner import RUN, claim


def test_nothing_of_two_agents_is_the_same(tmp_path: Path) -> None:
    layout = Layout(var=tmp_path, instance="t12ab34", settings=(("MAGS_AGENT_STOP_GRACE_MS", "7"),))
    for name in ("b", "third"):
        agents.define(layout, name, {})
    configs = [load(agent.environment) for agent in agents.agents_of(layout)]
    assert [config.host_name for config in configs] == ["", "b", "third"]
    assert {config.stop_grace_ms for config in configs} == {7}
    assert len({config.state_dir for config in configs}) == 3
    names = [config.instance for config in configs]
    assert [[down.is_of(one, f"{other}-1") for other in names] for one in names] == [
        [True, False, False], [False, True, False], [False, False, True],
    ]  # fmt: skip
    for networks in ([c.network4 for c in configs], [c.network6 for c in configs]):
        pairs = combinations(map(ip_network, networks), 2)
        assert [one.overlaps(two) for one, two in pairs] == [False] * 3
    firsts = [config.id_base for config in configs]
    assert min(b - a for a, b in pairwise(firsts)) >= 1000 * 65_536


def test_a_name_of_another_stacks_agent_is_refused_and_nothing_noted(tmp_path: Path) -> None:
    taken = f"t{os.getpid() % 10**7}"
    layout = Layout(var=tmp_path / "ours", instance=taken[:-1])
    claim(taken, tmp_path)
    try:
        with pytest.raises(SetupError, match=taken):
            hosts.define(layout, "b", {"MAGS_AGENT_INSTANCE": taken})
        assert agents.further_names(layout) == []
    finally:
        shutil.rmtree(RUN / taken)
    hosts.define(layout, "b", {"MAGS_AGENT_INSTANCE": taken})
    assert agents.further_names(layout) == ["b"]


def test_each_further_agent_is_a_process_with_its_own_settings(tmp_path: Path) -> None:
    layout = Layout(var=tmp_path)
    agents.define(layout, "b", {"MAGS_AGENT_SANDBOXES": "2"})
    found = {process.name: process for process in all_processes(layout, credentials.load(layout.secrets))}
    assert found["agent-b"].environment["MAGS_AGENT_SANDBOXES"] == "2"
    assert found["agent-b"].is_root
    assert "MAGS_AGENT_SANDBOXES" not in found["agent"].environment


def test_each_host_has_a_data_port_and_says_where_it_is(tmp_path: Path) -> None:
    settings = (("MAGS_DATA_PORT_ADDRESS", "10.0.0.5"), ("MAGS_DATA_PORT_HEAD_S", "7.0"))
    layout = Layout(var=tmp_path, data_port=9000, settings=settings)
    for name in ("b", "c"):
        agents.define(layout, name, {})
    found = {process.name: process for process in all_processes(layout, credentials.load(layout.secrets))}
    for suffix, port in (("", 9000), ("-b", 9001), ("-c", 9002)):
        data, agent = found[f"data{suffix}"], found[f"agent{suffix}"]
        assert data.environment["MAGS_DATA_PORT_PORT"] == str(port)
        assert data.environment["MAGS_DATA_PORT_HEAD_S"] == "7.0"
        assert data.environment["MAGS_AGENT_STATE_DIR"] == agent.environment["MAGS_AGENT_STATE_DIR"]
        assert load(agent.environment).data_port() == ("10.0.0.5", port)


def test_a_name_is_given_again_after_its_host_is_gone(tmp_path: Path) -> None:
    layout = Layout(var=tmp_path)
    first = agents.define(layout, "b", {})
    (layout.hosts / "b" / agents.SETTINGS).unlink()
    assert agents.define(layout, "c", {}).instance == first.instance


@pytest.mark.parametrize("name", ["", "B", "-b", "a/b", "..", "b" * 32, "b\n"])
def test_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SetupError, match="name"):
        agents.define(Layout(var=tmp_path), name, {})
    assert not (tmp_path / "hosts").exists()


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    agents.define(Layout(var=tmp_path), "b", {})
    with pytest.raises(SetupError, match="host remove b"):
        agents.define(Layout(var=tmp_path), "b", {})


def test_an_instance_without_room_for_a_letter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="MAGS_AGENT_INSTANCE"):
        agents.define(Layout(var=tmp_path, instance="eightlet"), "b", {})


def test_settings_of_the_server_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="MAGS_WEB_PORT"):
        agents.define(Layout(var=tmp_path), "b", {"MAGS_WEB_PORT": "1"})


def test_an_unknown_host_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"no further host 'c'(.|\n)*there are: none"):
        agents.further(Layout(var=tmp_path), "c")
