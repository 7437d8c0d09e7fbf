"""What the loss, the boot and the removal of a host do to its held sandboxes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from hosts.models import Host
from hosts.services import host_revoke
from jobs.models import FleetWatch
from jobs.services import sweep
from sandboxes.states import SandboxPhase
from tests.jobs import factories, held
from tests.jobs.factories import API, Agent, client_of, lease_of, sandbox_ended
from tests.jobs.held import box, fresh, room, workspace_of
from tests.workspaces.factories import put, saved, snapshot
from workspaces.models import Version, Workspace
from workspaces.services import workspace_create, workspace_delete, workspaces_expire_local

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
STALE = {"status": 409, "code": "stale_lease"}


def give_up(agent: Agent) -> None:
    """The host falls silent and the sweep notices."""
    now = timezone.now()
    FleetWatch.objects.update_or_create(
        id=1, defaults={"swept_at": now, "steady_since": now - timedelta(hours=1)}
    )
    Host.objects.filter(pk=agent.host.pk).update(last_seen_at=now - timedelta(minutes=5))
    assert sweep(is_reachable=True) == [agent.host.name]


def commit(agent: Agent, sandbox: Any, manifest: str, parent: str | None, **fields: Any) -> Any:
    body = {
        "boot_epoch": agent.boot_epoch, "sandbox_id": sandbox.pk, "epoch": sandbox.epoch,
        "manifest": manifest, "parent": parent, "reason": "checkpoint", "sync": 0,
        "made_at": factories.now_ms(), "tree_bytes": 9,
    }  # fmt: skip
    return agent.call("post", "/versions", body | fields)


class TestLoss:
    def test_a_running_job_ends_and_the_workspace_is_free(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner, kept=True)
        sandbox = held.start(agent, job)
        agent.poll_all()
        give_up(agent)
        assert (fresh(job).status, fresh(job).reason, fresh(job).sandbox) == ("error", "host_lost", "none")
        assert (box(job).state, workspace_of(owner).holder) == (SandboxPhase.ENDED, "")
        assert room(agent) == (0, 0)
        assert agent.report(sandbox_ended(sandbox)) == [STALE]
        answer = agent.poll_all()
        assert (answer["drop_sandboxes"], len(answer["drop"])) == ([sandbox.pk], 1)

    def test_an_idle_sandbox_is_gone_too(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.idle(agent, owner)
        give_up(agent)
        assert (fresh(job).status, fresh(job).sandbox) == ("completed", "none")
        assert (room(agent), workspace_of(owner).holder) == ((0, 0), "")

    def test_a_retry_goes_on_elsewhere_from_the_last_durable_version(self, bucket: str) -> None:
        owner = factories.user()
        [version] = saved(owner)
        first, job = Agent(), held.job(owner, kept=True, retries=1)
        lost = held.start(first, job)
        second = Agent()
        give_up(first)
        assert (fresh(job).status, fresh(job).attempt) == ("accepted", 2)
        assert (box(job).host, box(job).epoch) == (second.host, lost.epoch + 1)
        assert lease_of(job).sandbox_id == box(job).pk != lost.pk
        [wish] = second.poll_all()["sandboxes"]
        assert wish["volume"]["head"] == version.manifest
        assert (room(first), room(second)) == ((0, 0), (1, 1024))

    def test_the_lost_host_can_never_commit(self, bucket: str) -> None:
        owner = factories.user()
        [version] = saved(owner)
        first, job = Agent(), held.job(owner, retries=1)
        lost = held.start(first, job)
        Agent()
        give_up(first)
        made = snapshot(parent=version.manifest)
        put(owner, made)
        for epoch in (lost.epoch, box(job).epoch):
            status, answer = commit(first, lost, made.sha256, version.manifest, epoch=epoch)
            assert (status, answer["code"]) == (409, "stale_lease")
        status, answer = commit(first, box(job), made.sha256, version.manifest)
        assert (status, answer["code"]) == (409, "stale_lease")
        assert Version.objects.filter(workspace__owner=owner).count() == 1

    def test_an_unsaved_workspace_waits_for_the_lost_host(self) -> None:
        owner = factories.user()
        first, job = Agent(), held.job(owner, retries=1)
        held.start(first, job)
        other = Agent()
        give_up(first)
        assert (fresh(job).status, box(job).state) == ("accepted", SandboxPhase.WAITING)
        assert room(other) == (0, 0)
        first.boot(machine="boot-2")
        assert box(job).host == first.host

    def test_a_removed_host_loses_its_sandboxes(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.idle(agent, owner)
        host_revoke(agent.host.name)
        sweep(is_reachable=True)
        assert (fresh(job).sandbox, workspace_of(owner).holder) == ("none", "")


class TestBoot:
    def test_a_reported_sandbox_is_kept(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.idle(agent, owner)
        answer = agent.boot(machine="boot-2", sandboxes=[box(job)])
        assert [wish["sandbox_id"] for wish in answer["sandboxes"]] == [box(job).pk]
        assert answer["drop_sandboxes"] == []
        assert box(job).state == SandboxPhase.RUNNING

    def test_an_offered_one_is_kept_on_the_same_machine_boot(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner)
        answer = agent.boot()
        assert [wish["sandbox_id"] for wish in answer["sandboxes"]] == [box(job).pk]
        assert [given["job_id"] for given in answer["assignments"]] == [str(job.pk)]
        assert fresh(job).attempt == 1

    def test_an_offered_one_gets_a_successor_after_a_reboot(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner)
        offered = box(job)
        answer = agent.boot(machine="boot-2")
        assert answer["sandboxes"] == []
        assert (fresh(job).attempt, box(job).epoch) == (2, offered.epoch + 1)
        assert [wish["sandbox_id"] for wish in agent.poll_all()["sandboxes"]] == [box(job).pk]
        assert room(agent)[0] == 1

    def test_a_running_one_that_is_not_reported_is_lost(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner, kept=True)
        held.start(agent, job)
        answer = agent.boot([lease_of(job)])  # its lease does not outlive it
        assert (answer["sandboxes"], answer["assignments"], len(answer["drop"])) == ([], [], 1)
        assert (fresh(job).status, fresh(job).reason) == ("error", "host_lost")
        assert (room(agent), workspace_of(owner).holder) == ((0, 0), "")

    def test_one_that_ended_or_has_another_epoch_is_dropped(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner)
        ended = held.start(agent, job)
        held.finish(agent, job)
        held.end(agent, ended)
        wrong = held.start(agent, other := held.job(owner))
        wrong.epoch += 1
        answer = agent.boot(sandboxes=[ended, wrong])
        assert sorted(answer["drop_sandboxes"]) == sorted([ended.pk, wrong.pk])
        assert fresh(other).reason == "host_lost"

    def test_an_agent_that_knows_no_sandboxes_may_leave_them_out(self) -> None:
        agent = Agent(boot=False)
        body = {
            "machine_boot_id": "b", "agent_version": "1", "isolation": "container",
            "capacity": agent.capacity, "leases": [],
        }  # fmt: skip
        status, answer = agent.call("post", "/boot", body)
        assert (status, answer["sandboxes"], answer["drop_volumes"]) == (200, [], [])


class TestVolumes:
    def test_a_workspace_that_grows_is_told_to_its_sandbox(self) -> None:
        agent, owner = Agent(), factories.user()
        held.idle(agent, owner)
        agent.poll_all()
        body = {"disk_gb": 7}
        response = client_of(owner).patch(f"{API}/mags-workspaces/w", body, content_type="application/json")
        assert response.status_code == 200
        [wish] = agent.poll_all()["sandboxes"]
        assert wish["disk_gb"] == workspace_of(owner).disk_gb == 7

    def test_what_was_deleted_goes_from_its_host(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner)
        sandbox = held.start(agent, job)
        held.finish(agent, job)
        held.end(agent, sandbox)
        agent.poll_all()
        workspace = workspace_of(owner)
        assert client_of(owner).delete(f"{API}/mags-workspaces/w").status_code == 204
        assert agent.poll_all()["drop_volumes"] == [str(workspace.pk)]
        assert agent.poll_all()["drop_volumes"] == []

    def test_a_booted_host_learns_what_was_deleted(self) -> None:
        agent, owner = Agent(), factories.user()
        gone, kept = workspace_create(owner, "gone", disk_gb=1), workspace_create(owner, "kept", disk_gb=1)
        workspace_delete(gone)
        unknown = "0b9b6f3e-6f0e-4a65-9d3e-5d0c7f1f4a77"  # perhaps the database's loss, not the user's wish
        answer = agent.boot(volumes=[str(gone.pk), str(kept.pk), unknown])
        assert answer["drop_volumes"] == [str(gone.pk)]

    def test_an_idle_local_workspace_goes_from_its_host(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner)
        sandbox = held.start(agent, job)
        held.finish(agent, job)
        held.end(agent, sandbox)
        agent.poll_all()
        workspace = workspace_of(owner)
        Workspace.objects.update(used_at=timezone.now() - timedelta(minutes=11))
        workspaces_expire_local()
        assert agent.poll_all()["drop_volumes"] == [str(workspace.pk)]
