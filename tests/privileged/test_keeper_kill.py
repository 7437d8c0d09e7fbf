"""The agent is killed at every step of a held sandbox's life; the next one goes on. What was run ran once,
what was acknowledged is saved, and nothing is left."""

from __future__ import annotations

import signal

import pytest

from tests.agent.fake_control_plane import FakeControlPlane
from tests.agent.fake_sandboxes import FakeWorkspace
from tests.agent.processes import AgentProcess
from tests.privileged.test_keeper import agent, bucket, end, forget_files, plane, says  # noqa: F401 - fixtures

POINTS = [
    "after held accepted",
    "after make_live",
    "after driver create",
    "after held running",
    "after report sandboxrunning",
    "after run create",
    "before run start",
    "after run start",
    "before held ending",
    "after held ending",
    "before run destroy",
    "after driver destroy",
    "after take",
    "before put",
    "after put",
    "before commit end",
    "after commit end",
    "before keep",
    "after keep",
    "before held saved",
    "after held saved",
    "after report sandboxended",
    "after held forget",
]


@pytest.mark.parametrize("points", [POINTS[::2], POINTS[1::2]], ids=["even", "odd"])
async def test_one_life_after_the_other(
    agent: AgentProcess,  # noqa: F811
    plane: FakeControlPlane,  # noqa: F811
    points: list[str],
) -> None:
    """Each agent is killed at the point that comes next."""
    await agent.start(dies=points[0])
    workspace = FakeWorkspace()
    sandbox = await plane.hold(workspace, is_kept=False)
    lease = await plane.run(sandbox, "echo x >> /root/starts; echo ran; exit 7")
    for point in points[1:]:
        assert await agent.ended() == -signal.SIGKILL
        await agent.start(dies=point)
    assert await agent.ended() == -signal.SIGKILL
    await agent.start()
    finished = await plane.finished(lease)
    assert (finished["outcome"], finished["exit_code"], lease.text) == ("exited", 7, "ran\n")
    assert (await plane.ended(sandbox))["reason"] == "done"
    await agent.until_clean()
    await forget_files(agent, plane, workspace)
    again = await plane.hold(workspace)
    assert await says(plane, again, "cat /root/starts") == "x\n"
    await end(plane, again)


async def test_killed_in_a_sync(agent: AgentProcess, plane: FakeControlPlane) -> None:  # noqa: F811
    """Whatever was written before the sync was asked for is in the version that answers it."""
    await agent.start(dies="after take")
    workspace = FakeWorkspace()
    sandbox = await plane.hold(workspace)
    run = await plane.run(sandbox, "echo early > /root/file; echo up; sleep 60")
    await plane.wait(lambda: run.text == "up\n")
    await plane.wish(sandbox, sync=1)
    for point in ("before put", "before commit sync", "after commit sync", "before keep"):
        assert await agent.ended() == -signal.SIGKILL
        await agent.start(dies=point)
    assert await agent.ended() == -signal.SIGKILL
    await agent.start()
    await plane.wait(lambda: sandbox.synced >= 1)
    assert run.finished is None
    fork = await plane.hold(FakeWorkspace(head=workspace.head))
    assert await says(plane, fork, "cat /root/file") == "early\n"
    for held in (fork, sandbox):
        await end(plane, held)


async def test_sync_after_a_kill_in_a_checkpoint_has_what_was_written_since(
    agent: AgentProcess,  # noqa: F811
    plane: FakeControlPlane,  # noqa: F811
) -> None:
    await agent.start(dies="before commit checkpoint")
    workspace = FakeWorkspace()
    sandbox = await plane.hold(workspace, checkpoint_s=1)
    run = await plane.run(sandbox, "echo early > /root/file; while :; do read -t 0.1 x < /root/no || :; done")
    assert await agent.ended() == -signal.SIGKILL
    plane.held.commits_failing = 3
    await agent.start()
    assert await says(plane, sandbox, "echo late > /root/file") == ""
    await plane.synced(sandbox)
    fork = await plane.hold(FakeWorkspace(head=workspace.head))
    assert await says(plane, fork, "cat /root/file") == "late\n"
    assert run.finished is None
    for held in (fork, sandbox):
        await end(plane, held)


async def test_killed_when_a_full_version_was_committed_in_the_place_of_a_refused_one(
    agent: AgentProcess,  # noqa: F811
    plane: FakeControlPlane,  # noqa: F811
) -> None:
    """Its successor sends the same again: anything else would go on from what is not the head any more."""
    await agent.start(dies="after commit sync")
    workspace = FakeWorkspace()
    first = await plane.hold(workspace)
    await says(plane, first, "echo one > /root/file")
    await end(plane, first)
    sandbox = await plane.hold(workspace)
    run = await plane.run(sandbox, "echo two >> /root/file; echo up; sleep 60")
    await plane.wait(lambda: run.text == "up\n")
    plane.held.full_next = "now"
    await plane.wish(sandbox, sync=1)
    assert await agent.ended() == -signal.SIGKILL
    await agent.start()
    await plane.wait(lambda: sandbox.synced >= 1)
    assert [version["is_full"] for version in workspace.versions] == [True, True]
    assert await says(plane, sandbox, "cat /root/file") == "one\ntwo\n"
    assert run.finished is None
    await end(plane, sandbox)
