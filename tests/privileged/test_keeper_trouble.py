"""Held sandboxes when something is in the way: damage, a store that is away, a full disk, another head."""

from __future__ import annotations

import json
import signal

from tests.agent.bucket import Bucket
from tests.agent.fake_control_plane import FakeControlPlane
from tests.agent.fake_sandboxes import FakeWorkspace
from tests.agent.processes import AgentProcess
from tests.privileged.test_keeper import agent, bucket, end, forget_files, plane, says, volumes

__all__ = ["agent", "bucket", "plane"]


async def test_saving_that_fails_is_told_and_goes_on_by_itself(
    agent: AgentProcess, plane: FakeControlPlane
) -> None:
    await agent.start()
    workspace = FakeWorkspace()
    sandbox = await plane.hold(workspace, checkpoint_s=1)
    plane.held.commits_failing = 1000
    await says(plane, sandbox, "echo kept > /root/file")
    await plane.wait(lambda: any(size["trouble"] for size in sandbox.sizes))
    assert sandbox.sizes[-1]["trouble"]["kind"] == "unreachable"
    await says(plane, sandbox, "cat /root/file")  # it works on meanwhile
    await plane.wish(sandbox, wish="end")
    failing = plane.held.commits_failing
    await plane.wait(lambda: plane.held.commits_failing < failing - 1)  # its end waits for its files
    assert (sandbox.ended, workspace.versions) == (None, [])
    assert volumes(agent, workspace)
    plane.held.commits_failing = 0
    assert (await plane.ended(sandbox))["reason"] == "stopped"
    assert sandbox.sizes[-1]["trouble"] is None
    assert workspace.head is not None


async def test_damaged_version_is_named(agent: AgentProcess, plane: FakeControlPlane, bucket: Bucket) -> None:
    await agent.start()
    workspace = FakeWorkspace()
    maker = await plane.hold(workspace)
    await says(plane, maker, "echo some > /root/file")
    await end(plane, maker)
    await forget_files(agent, plane, workspace)
    assert workspace.head is not None
    segment = json.loads(bucket.get(workspace.head))["segments"][0][0]
    bucket.overwrite(segment, b"rotten")
    sandbox = await plane.hold(workspace)
    lease = await plane.run(sandbox, "echo no")
    ended = await plane.ended(sandbox)
    assert ended["reason"] == "damaged"
    assert ended["damaged"] == {"manifest": workspace.head, "object": segment}
    assert lease.finished is not None
    assert (lease.finished["outcome"], lease.text) == ("start_failed", "")


async def test_unsaved_files_of_a_lost_host_give_way_to_newer_versions(
    agent: AgentProcess, plane: FakeControlPlane
) -> None:
    await agent.start()
    workspace, elsewhere = FakeWorkspace(), FakeWorkspace()
    sandbox = await plane.hold(workspace)
    await says(plane, sandbox, "echo saved > /root/file")
    await plane.synced(sandbox)
    await says(plane, sandbox, "echo unsaved > /root/file")
    await plane.give_away(sandbox)
    await agent.until_clean()
    elsewhere.head = workspace.head
    fork = await plane.hold(elsewhere)
    await says(plane, fork, "echo newer > /root/file")
    await end(plane, fork)
    workspace.versions += elsewhere.versions
    workspace.head = elsewhere.head
    other = await plane.hold(workspace)
    assert await says(plane, other, "cat /root/file") == "newer\n"
    assert len(list((agent.state_dir / "fs/laid-aside").glob(f"{workspace.id}.*"))) == 1
    await end(plane, other)
    await forget_files(agent, plane, workspace)
    assert not list((agent.state_dir / "fs/laid-aside").iterdir())


async def test_version_that_builds_on_damage_is_made_anew_in_full(
    agent: AgentProcess, plane: FakeControlPlane
) -> None:
    """The files are here: what was lost in the bucket is stored again, by the next save."""
    await agent.start()
    workspace = FakeWorkspace()
    sandbox = await plane.hold(workspace)
    await says(plane, sandbox, "echo one > /root/one")
    await plane.synced(sandbox)
    workspace.is_chain_damaged = True
    await says(plane, sandbox, "echo two > /root/two")
    await plane.synced(sandbox)
    assert workspace.refused == 1
    workspace.is_chain_damaged = False
    await says(plane, sandbox, "echo three > /root/three")
    await end(plane, sandbox)
    assert [version["is_full"] for version in workspace.versions] == [True, True, False]
    await forget_files(agent, plane, workspace)
    again = await plane.hold(workspace)
    assert await says(plane, again, "cat /root/one /root/two /root/three") == "one\ntwo\nthree\n"
    await end(plane, again)


async def test_head_that_somebody_else_moved_is_not_overwritten(
    agent: AgentProcess, plane: FakeControlPlane
) -> None:
    await agent.start()
    workspace = FakeWorkspace()
    sandbox = await plane.hold(workspace)
    await says(plane, sandbox, "echo ours > /root/file")
    await plane.synced(sandbox)
    run = await plane.run(sandbox, "echo unsaved > /root/file; echo up; sleep 60")
    await plane.wait(lambda: run.text == "up\n")
    workspace.head = "0" * 64
    await plane.wish(sandbox, sync=2)
    ended = await plane.ended(sandbox)
    assert (ended["reason"], ended["message"]) == ("lost", "The host lost the right to save this workspace.")
    assert (workspace.head, len(workspace.versions), run.finished) == ("0" * 64, 1, None)
    await plane.end(run)
    assert volumes(agent, workspace)  # kept, for whoever wants to look


async def test_full_disk(agent: AgentProcess, plane: FakeControlPlane) -> None:
    """Who fills it is told inside; it is saved as it is, grows while it is up, and never shrinks below its
    files."""
    await agent.start()
    workspace = FakeWorkspace()
    sandbox = await plane.hold(workspace, disk_gb=1)
    fill = "fallocate -l 900M /root/a; exec dd if=/dev/zero of=/root/b bs=1M count=200"
    full = await plane.run(sandbox, fill)
    finished = await plane.finished(full)
    assert (finished["outcome"], finished["exit_code"]) == ("disk_full", 1), full.text
    assert "Disk quota exceeded" in full.text
    tolerant = "dd if=/dev/zero of=/root/c bs=1M count=50 2> /dev/null; true"
    await says(plane, sandbox, tolerant)  # that the disk is full is no failure of a script that ends well
    await plane.synced(sandbox)
    await plane.wish(sandbox, disk_gb=2)
    grown = "until dd if=/dev/zero of=/root/c bs=1M count=100 2> /dev/null; do sleep 0.05; done; echo fits"
    assert await says(plane, sandbox, grown) == "fits\n"
    await plane.wish(sandbox, disk_gb=1)
    await plane.synced(sandbox)  # after which the wish was read
    assert await says(
        plane, sandbox, "dd if=/dev/zero of=/root/d bs=1M count=100 2> /dev/null; ls /root"
    ) == ("a\nb\nc\nd\n")
    await says(plane, sandbox, "rm /root/a")
    for _ in range(2):  # after the first it is known on disk how much is free, with the second it is used
        await plane.synced(sandbox)
    assert await says(plane, sandbox, "fallocate -l 900M /root/e 2> /dev/null || echo small again") == (
        "small again\n"
    )
    await end(plane, sandbox)
    await forget_files(agent, plane, workspace)
    again = await plane.hold(workspace, disk_gb=1)
    assert await says(plane, again, "ls /root; stat -c %s /root/c") == "b\nc\nd\ne\n104857600\n"
    await end(plane, again)


async def test_machine_that_was_rebooted(agent: AgentProcess, plane: FakeControlPlane) -> None:
    """The container is gone, the files are here: they are saved, and the run is lost."""
    await agent.start()
    workspace = FakeWorkspace()
    sandbox = await plane.hold(workspace)
    run = await plane.run(sandbox, "echo written > /root/file; sync; echo up; sleep 60")
    await plane.wait(lambda: run.text == "up\n")
    await agent.signal(signal.SIGKILL)
    for path in (*agent.state_dir.glob("held/*.json"), *agent.state_dir.glob("leases/*/lease.json")):
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"machine_boot_id": "another"}))
    await agent.start()
    ended = await plane.ended(sandbox)
    assert (ended["reason"], ended["message"]) == ("lost", "The host was restarted while the sandbox was up.")
    assert sandbox.ending is not None  # while it was saved, no job was to be sent there
    assert run.finished is not None
    assert run.finished["outcome"] == "lost"
    assert [version["reason"] for version in workspace.versions] == ["end"]
    again = await plane.hold(workspace)
    assert await says(plane, again, "cat /root/file") == "written\n"
    await end(plane, again)
