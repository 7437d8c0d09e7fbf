"""An agent is killed, or stopped past its lease, around a sandbox's sleep. Nothing stays frozen that should
not, nothing thaws that sleeps, and what was given away ends without a word."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest

from hostagent.cli import EXIT_STALE
from hostagent.config import Config
from hostagent.linux import cgroup
from tests.agent.fake_control_plane import FakeControlPlane
from tests.agent.fake_sandboxes import FakeSandbox, FakeWorkspace
from tests.agent.processes import AgentProcess
from tests.privileged.test_keeper import agent, bucket, end, plane, says  # noqa: F401 - fixtures

SOON = {"idle_s": 0.3, "cpu_percent": 50.0, "stop_s": None, "with_runs": False}


@pytest.fixture
def config(config: Config) -> Config:
    """Of a host that has no data port: nobody ever connects."""
    return replace(config, data_address="")


def is_frozen(config: Config, sandbox: FakeSandbox) -> bool:
    return cgroup.is_frozen(cgroup.detect(), f"{config.instance}/{sandbox.id}")


async def test_killed_at_every_step_of_a_sleep(
    config: Config,
    agent: AgentProcess,  # noqa: F811
    plane: FakeControlPlane,  # noqa: F811
) -> None:
    await agent.start(dies="after driver freeze")
    workspace = FakeWorkspace()
    sandbox = await plane.hold(workspace, sleep=SOON)
    for point in ("before report sandboxasleep", "after report sandboxasleep"):
        assert await agent.ended() == -signal.SIGKILL
        await agent.start(dies=point)
    assert await agent.ended() == -signal.SIGKILL
    assert is_frozen(config, sandbox)
    asleep = list(sandbox.naps)
    await plane.wish(sandbox, wake=1)  # while no agent is there
    for point in ("after driver thaw", "before report sandboxawake"):
        await agent.start(dies=point)
        assert await agent.ended() == -signal.SIGKILL
    assert sandbox.naps == asleep  # told once, and no other sleep since
    assert not is_frozen(config, sandbox)
    await plane.wish(sandbox, sleep=None)
    await agent.start()
    await plane.wait(lambda: len(sandbox.naps) == 2)
    assert (sandbox.naps[0]["state"], sandbox.naps[1]["cause"]) == ("asleep", "restart")
    assert await says(plane, sandbox, "echo works") == "works\n"
    await end(plane, sandbox)


async def test_killed_at_every_step_of_a_stop(
    config: Config,
    agent: AgentProcess,  # noqa: F811
    plane: FakeControlPlane,  # noqa: F811
) -> None:
    await agent.start(dies="after held ending")
    workspace = FakeWorkspace()
    sandbox = await plane.hold(workspace, sleep=SOON | {"stop_s": 0.1})
    await says(plane, sandbox, "echo kept > /root/file; sleep 300 > /dev/null 2>&1 & :")
    for point in ("after driver destroy", "after held saved"):
        assert await agent.ended() == -signal.SIGKILL
        await agent.start(dies=point)
    assert await agent.ended() == -signal.SIGKILL
    await agent.start()
    assert (await plane.ended(sandbox))["reason"] == "idle"
    assert len(workspace.versions) == 1


@pytest.mark.parametrize("is_heard_of", [True, False], ids=["dropped by a poll", "not known at the boot"])
async def test_agent_that_was_stopped_past_its_lease_kills_what_sleeps(
    config: Config,
    agent: AgentProcess,  # noqa: F811
    plane: FakeControlPlane,  # noqa: F811
    is_heard_of: bool,
) -> None:
    await agent.start()
    workspace = FakeWorkspace()
    sandbox = await plane.hold(workspace, sleep=SOON)
    await says(plane, sandbox, "echo early > /root/file; (while :; do sleep 5; done) > /dev/null 2>&1 &")
    await plane.wait(lambda: sandbox.is_asleep)
    agent.send(signal.SIGSTOP)
    await plane.give_away(sandbox)
    if not is_heard_of:
        plane.boot_epoch += 1  # as a server does that gave the whole host up
    agent.send(signal.SIGCONT)
    if not is_heard_of:
        assert await agent.ended() == EXIT_STALE
        assert is_frozen(config, sandbox)  # a stale agent touches nothing; its successor does
        await agent.start()
    await agent.until_clean()
    group = f"{config.instance}/{sandbox.id}"
    assert cgroup.pids(cgroup.detect(), group) == set()
    assert sandbox.ended is None
    assert len(workspace.versions) == 1  # from before it slept
