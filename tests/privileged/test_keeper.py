"""The agent keeps sandboxes with workspaces: real sandboxes, real volumes, a real object store."""

from __future__ import annotations

import base64
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from hostagent.config import Config
from hostagent.drivers.oci import OciDriver
from tests.agent.bucket import Bucket
from tests.agent.fake_control_plane import FakeControlPlane
from tests.agent.fake_sandboxes import FakeSandbox, FakeWorkspace
from tests.agent.processes import AgentProcess
from tests.privileged.leaks import no_leaks
from tests.workspaces import seaweed


@pytest.fixture(scope="module")
def bucket() -> Bucket:
    return Bucket(seaweed.running().url)


@asynccontextmanager
async def kept_plane(bucket: Bucket) -> AsyncIterator[FakeControlPlane]:
    plane = FakeControlPlane()
    plane.held.bucket = bucket
    await plane.start()
    yield plane
    await plane.stop()
    assert plane.violations == []


@asynccontextmanager
async def kept_agent(config: Config, plane: FakeControlPlane) -> AsyncIterator[AgentProcess]:
    agent = AgentProcess(config.state_dir, plane.url, replace(config, local_volume_s=2))
    yield agent
    await agent.signal(signal.SIGTERM)
    driver = OciDriver(config)
    await driver.open()
    await driver.close(everything=True)
    await no_leaks(config)


@pytest_asyncio.fixture
async def plane(bucket: Bucket) -> AsyncIterator[FakeControlPlane]:
    async with kept_plane(bucket) as plane:
        yield plane


@pytest_asyncio.fixture
async def agent(config: Config, plane: FakeControlPlane) -> AsyncIterator[AgentProcess]:
    async with kept_agent(config, plane) as agent:
        yield agent


async def says(plane: FakeControlPlane, sandbox: FakeSandbox, script: str) -> str:
    """What a script that ends well puts out in a held sandbox."""
    lease = await plane.run(sandbox, script)
    end = await plane.finished(lease)
    assert (end["outcome"], end["exit_code"]) == ("exited", 0), (end, lease.text)
    return lease.text


async def test_second_run_sees_what_the_first_left(agent: AgentProcess, plane: FakeControlPlane) -> None:
    await agent.start()
    sandbox = await plane.hold(FakeWorkspace())
    await says(plane, sandbox, "echo kept > /root/file; (while :; do sleep 0.1; done) & echo $! > /root/pid")
    assert (
        await says(plane, sandbox, "cat /root/file; kill -0 $(cat /root/pid) && echo alive")
        == "kept\nalive\n"
    )
    await plane.wish(sandbox, wish="end")
    end = await plane.ended(sandbox)
    assert (end["reason"], end["message"], end["damaged"]) == ("stopped", "", None)


async def end(plane: FakeControlPlane, sandbox: FakeSandbox) -> None:
    await plane.wish(sandbox, wish="end")
    await plane.ended(sandbox)


async def forget_files(agent: AgentProcess, plane: FakeControlPlane, workspace: FakeWorkspace) -> None:
    """As on another host: nothing of the workspace is here."""
    await plane.delete_workspace(workspace)
    await agent.until(lambda: not volumes(agent, workspace))
    plane.deleted.clear()


def volumes(agent: AgentProcess, workspace: FakeWorkspace) -> list[Path]:
    return list((agent.state_dir / "fs/volumes").glob(f"*/{workspace.id}"))


async def test_sync_while_a_run_goes_on(agent: AgentProcess, plane: FakeControlPlane) -> None:
    await agent.start()
    workspace = FakeWorkspace()
    sandbox = await plane.hold(workspace)
    run = await plane.run(sandbox, "echo one > /root/file; echo up; sleep 60")
    await plane.wait(lambda: run.text == "up\n")
    await plane.synced(sandbox)
    assert [(v["reason"], v["sync"], v["parent"]) for v in workspace.versions] == [("sync", 1, None)]
    await plane.synced(sandbox)  # nothing was changed: the head is the answer
    assert len(workspace.versions) == 1
    assert [size["dirty"] for size in sandbox.sizes if size["sync"]] == [False]
    await plane.wish_stop(run)
    await plane.finished(run)
    await says(plane, sandbox, "echo two >> /root/file")
    await end(plane, sandbox)
    first, last = workspace.versions
    assert (last["reason"], last["parent"], workspace.head) == ("stop", first["manifest"], last["manifest"])
    # What has changed since the version before is known here: nothing is fetched for it.
    asked = {"id": 1, "kind": "diff", "tenant": sandbox.wish["tenant"], "workspace": workspace.id}
    await plane.ask(asked | {"old": first["manifest"], "new": last["manifest"]})
    assert base64.b64decode((await plane.answer(1))["changed"]) == b"root/file"
    await forget_files(agent, plane, workspace)
    again = await plane.hold(workspace)
    assert await says(plane, again, "cat /root/file") == "one\ntwo\n"
    await end(plane, again)


async def test_full_version_is_made_when_nobody_waits_for_it(
    agent: AgentProcess, plane: FakeControlPlane
) -> None:
    await agent.start()
    workspace = FakeWorkspace()
    plane.held.full_next = "later"
    sandbox = await plane.hold(workspace, is_kept=True)
    for number in range(3):
        await says(plane, sandbox, f"echo {number} >> /root/file")
        await plane.synced(sandbox)
    await says(plane, sandbox, "echo 3 >> /root/file")
    await end(plane, sandbox)  # by its user, who waits
    last = await plane.hold(workspace, is_kept=False)
    await says(plane, last, "echo 4 >> /root/file")
    await plane.ended(last)  # by itself, but what it was told before was for the sandbox before it
    kept = await plane.hold(workspace, checkpoint_s=1)
    await says(plane, kept, "echo 5 >> /root/file")
    await plane.wait(lambda: len(workspace.versions) == 6)
    await says(plane, kept, "echo 6 >> /root/file")
    await plane.wait(lambda: len(workspace.versions) == 7)
    assert [version["is_full"] for version in workspace.versions] == [True, *[False] * 5, True]
    plane.held.full_next = "now"  # and its host has not heard of it
    await says(plane, kept, "echo 7 >> /root/file")
    await plane.synced(kept)
    await end(plane, kept)
    assert [version["is_full"] for version in workspace.versions[7:]] == [True]
    await forget_files(agent, plane, workspace)
    again = await plane.hold(workspace)
    assert await says(plane, again, "cat /root/file") == "0\n1\n2\n3\n4\n5\n6\n7\n"
    await end(plane, again)


async def test_session_that_changed_nothing_makes_no_version(
    agent: AgentProcess, plane: FakeControlPlane
) -> None:
    """Also where the volume was laid over the image anew, by this agent or after a restore."""
    await agent.start()
    workspace = FakeWorkspace()
    maker = await plane.hold(workspace)
    await says(plane, maker, "echo some > /root/file")
    await end(plane, maker)
    for look in ("cat /root/file", "ls -lR /root /etc; cat $(find /etc -type f)"):
        again = await plane.hold(workspace)
        await says(plane, again, f"{look} > /dev/null")
        await plane.synced(again)
        await end(plane, again)
    await forget_files(agent, plane, workspace)
    restored = await plane.hold(workspace)
    await says(plane, restored, "cat /root/file")
    await end(plane, restored)
    assert len(workspace.versions) == 1
    changed = await plane.hold(workspace)
    await says(plane, changed, "chmod 600 /root/file")
    await end(plane, changed)
    assert len(workspace.versions) == 2


async def test_not_kept_sandbox_is_saved_and_ends_by_itself(
    agent: AgentProcess, plane: FakeControlPlane
) -> None:
    await agent.start()
    workspace = FakeWorkspace()
    sandbox = await plane.hold(workspace, is_kept=False)
    await says(plane, sandbox, "echo kept > /root/file")
    ended = await plane.ended(sandbox)
    assert (ended["reason"], [v["reason"] for v in workspace.versions]) == ("done", ["end"])
    again = await plane.hold(workspace, is_kept=False)
    assert await says(plane, again, "cat /root/file") == "kept\n"
    await plane.ended(again)


async def test_checkpoints(agent: AgentProcess, plane: FakeControlPlane) -> None:
    await agent.start()
    workspace = FakeWorkspace()
    sandbox = await plane.hold(workspace, checkpoint_s=1)
    await says(plane, sandbox, "echo kept > /root/file")
    await plane.wait(lambda: workspace.versions)
    assert {v["reason"] for v in workspace.versions} == {"checkpoint"}
    await end(plane, sandbox)


async def test_files_of_a_run_are_there_before_it_starts(
    agent: AgentProcess, plane: FakeControlPlane, bucket: Bucket
) -> None:
    await agent.start()
    sandbox = await plane.hold(FakeWorkspace())
    data = b"a,b\n" * 1000
    sha256 = bucket.put(data)
    file = {"name": "a table.csv", "sha256": sha256, "bytes": len(data), "url": bucket.sign_get(sha256)}
    look = "sha256sum < '/uploads/a table.csv'; touch /uploads/x 2>/dev/null || echo read-only"
    expected = f"{sha256}  -\nread-only\n"
    inside = await plane.run(sandbox, look, files=[file])
    alone = await plane.submit(look, files=[file], memory_mb=256)
    wrong = await plane.run(sandbox, "echo no", files=[{**file, "sha256": "0" * 64}])
    assert (await plane.finished(wrong))["outcome"] == "start_failed"
    await plane.finished(inside)
    await plane.finished(alone)
    assert (inside.text, alone.text, wrong.text) == (expected, expected, "")
    await end(plane, sandbox)
    await agent.until(lambda: not list((agent.state_dir / "uploads").iterdir()))


async def test_stop_ends_one_run_with_all_that_it_began(agent: AgentProcess, plane: FakeControlPlane) -> None:
    await agent.start()
    sandbox = await plane.hold(FakeWorkspace())
    begin = "sleep 60 & echo $! > /root/{0}; echo up; sleep 60"
    stopped = await plane.run(sandbox, begin.format("stopped"))
    other = await plane.run(sandbox, begin.format("other"))
    await plane.wait(lambda: stopped.text == other.text == "up\n")
    await plane.wish_stop(stopped)
    assert (await plane.finished(stopped))["outcome"] == "stopped"
    look = "for name in stopped other; do kill -0 $(cat /root/$name) 2>/dev/null && echo $name; done; :"
    assert await says(plane, sandbox, look) == "other\n"
    await end(plane, sandbox)
    assert other.finished is not None
    assert other.finished["outcome"] == "stopped"


async def test_sandbox_that_was_given_away_publishes_nothing(
    agent: AgentProcess, plane: FakeControlPlane
) -> None:
    await agent.start()
    workspace = FakeWorkspace()
    sandbox = await plane.hold(workspace, checkpoint_s=1)
    await says(plane, sandbox, "echo saved > /root/file")
    await plane.synced(sandbox)
    run = await plane.run(sandbox, "echo unsaved > /root/file; echo up; sleep 60")
    await plane.wait(lambda: run.text == "up\n")
    await plane.give_away(sandbox)
    await agent.until_clean()
    versions = len(workspace.versions)
    assert sandbox.ended is None
    other = await plane.hold(workspace)  # its head is what the unsaved files go on from
    assert await says(plane, other, "cat /root/file") == "unsaved\n"
    await end(plane, other)
    assert len(workspace.versions) == versions + 1


async def test_agent_that_was_not_told_is_refused_and_stops(
    agent: AgentProcess, plane: FakeControlPlane
) -> None:
    await agent.start()
    workspace = FakeWorkspace()
    sandbox = await plane.hold(workspace, checkpoint_s=1)
    run = await plane.run(sandbox, "echo up; while :; do echo x >> /root/file; sleep 0.1; done")
    await plane.wait(lambda: run.text == "up\n")
    sandbox.state = "ended"
    versions = list(workspace.versions)
    await agent.until_clean()
    assert workspace.versions == versions
    assert run.finished is None
    await plane.end(run)


async def test_volumes_that_are_not_saved_go(agent: AgentProcess, plane: FakeControlPlane) -> None:
    await agent.start()
    unsaved = FakeWorkspace(is_saved=False)
    first = await plane.hold(unsaved)
    await says(plane, first, "echo here > /root/file")
    await end(plane, first)
    second = await plane.hold(unsaved)
    assert await says(plane, second, "cat /root/file") == "here\n"
    await end(plane, second)
    assert unsaved.versions == []
    await agent.until(lambda: not volumes(agent, unsaved))


async def test_scratch_volume_on_a_base_goes_at_once(agent: AgentProcess, plane: FakeControlPlane) -> None:
    await agent.start()
    base = FakeWorkspace()
    maker = await plane.hold(base)
    await says(plane, maker, "echo base > /root/file")
    await end(plane, maker)
    await forget_files(agent, plane, base)
    before = set((agent.state_dir / "fs/volumes").glob("*/*"))
    scratch = await plane.hold(base=base.head, is_kept=False)
    assert await says(plane, scratch, "cat /root/file; echo more >> /root/file") == "base\n"
    await plane.ended(scratch)
    assert set((agent.state_dir / "fs/volumes").glob("*/*")) == before
    assert len(base.versions) == 1


async def test_memory_of_the_whole_sandbox(agent: AgentProcess, plane: FakeControlPlane) -> None:
    """A run that takes too much is killed; the sandbox goes on, and what it holds with it."""
    await agent.start()
    sandbox = await plane.hold(FakeWorkspace(), memory_mb=128)
    greedy = await plane.run(sandbox, "echo kept > /root/file; exec python3 -c 'x = bytearray(1 << 30)'")
    assert (await plane.finished(greedy))["outcome"] == "oom"
    assert await says(plane, sandbox, "cat /root/file") == "kept\n"
    await end(plane, sandbox)
