"""Where jobs with a workspace or a base run, and what their sandboxes begin with."""

from __future__ import annotations

import pytest

from hosts.models import Host
from hosts.services import host_drain, host_revoke
from jobs.errors import BaseNotSaved, WrongImage
from jobs.models import JobEvent
from jobs.services import job_stop, schedule_waiting
from sandboxes.states import SandboxPhase
from tests.jobs import factories, held
from tests.jobs.factories import Agent
from tests.jobs.held import box, fresh, room, workspace_of
from tests.workspaces.factories import saved
from workspaces.errors import VersionDamaged, WorkspaceInUse, WorkspaceNotFound
from workspaces.models import Workspace
from workspaces.services import version_damage, workspace_create

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


class TestPlacement:
    def test_a_sandbox_waits_for_a_host_and_holds_its_workspace(self) -> None:
        owner = factories.user()
        job = held.job(owner)
        assert (job.reason, box(job).state, box(job).host) == ("no_host", SandboxPhase.WAITING, None)
        with pytest.raises(WorkspaceInUse):
            held.job(owner)
        agent = Agent()
        assert (box(job).state, box(job).host) == (SandboxPhase.OFFERED, agent.host)
        answer = agent.boot()
        assert len(answer["sandboxes"]) == len(answer["assignments"]) == 1
        assert room(agent) == (1, 1024)

    def test_a_waiting_job_that_is_stopped_gives_its_workspace_back(self) -> None:
        owner = factories.user()
        job = held.job(owner)
        assert job_stop(job).status == "completed"
        assert (box(job).state, workspace_of(owner).holder) == (SandboxPhase.ENDED, "")
        agent = Agent()
        assert held.job(owner).attempt == 1
        assert room(agent)[0] == 1

    def test_an_unsaved_workspace_waits_for_its_host(self) -> None:
        near, owner = Agent(), factories.user()
        first = held.job(owner)
        sandbox = held.start(near, first)
        held.finish(near, first)
        held.end(near, sandbox)
        far = Agent(sandboxes=50)
        host_drain(near.host.name, is_draining=True)
        second = held.job(owner)
        assert (second.attempt, second.reason) == (0, "no_host")
        schedule_waiting(explain=True)
        assert fresh(second).attempt == 0
        host_drain(near.host.name, is_draining=False)
        schedule_waiting(explain=True)
        assert box(second).host == near.host
        assert room(far) == (0, 0)

    def test_it_says_where_the_only_copy_is(self) -> None:
        near, owner = Agent(), factories.user()
        first = held.job(owner)
        sandbox = held.start(near, first)
        held.finish(near, first)
        held.end(near, sandbox)
        Agent()
        host_drain(near.host.name, is_draining=True)
        second = held.job(owner)
        assert second.message.endswith(f"its only copy is on the host {near.host.name}, which is draining.")
        Host.objects.filter(pk=near.host.pk).update(is_online=False)
        schedule_waiting(explain=True)
        assert fresh(second).message.endswith("which is not online.")

    def test_a_saved_workspace_goes_to_its_host_if_there_is_room(self, bucket: str) -> None:
        owner = factories.user()
        saved(owner)
        small, large = Agent(sandboxes=2), Agent(sandboxes=50)
        Workspace.objects.filter(owner=owner).update(host=small.host)
        factories.job(), factories.job()  # the least loaded one is the large one
        assert box(held.job(owner)).host == small.host
        saved(owner, "v")
        Workspace.objects.filter(owner=owner, name="v").update(host=small.host)
        host_drain(small.host.name, is_draining=True)
        assert box(held.job(owner, "v")).host == large.host

    def test_the_copy_of_a_removed_host_is_not_waited_for(self) -> None:
        near, owner = Agent(), factories.user()
        first = held.job(owner)
        sandbox = held.start(near, first)
        held.finish(near, first)
        held.end(near, sandbox)
        host_revoke(near.host.name)
        other = Agent()
        assert box(held.job(owner)).host == other.host


class TestBases:
    def test_a_base_alone_is_read_only_below(self, bucket: str) -> None:
        owner, agent = factories.user(), Agent()
        [version] = saved(owner, "golden")
        one = held.job(owner, "", base="golden")
        two = held.job(owner, "", base="golden")
        volumes = [wish["volume"] for wish in agent.poll_all()["sandboxes"]]
        expected = {"id": None, "head": None, "base": version.manifest, "is_saved": False, "epoch": 1}
        assert volumes == [expected] * 2
        assert (one.workspace_id, two.workspace_id) == (None, None)
        assert workspace_of(owner, "golden").holder == ""

    def test_a_new_workspace_begins_as_the_base_is(self, bucket: str) -> None:
        owner, agent = factories.user(), Agent()
        [version] = saved(owner, "golden")
        job = held.job(owner, "fork", base="golden", kept=True)
        [wish] = agent.poll_all()["sandboxes"]
        fork = workspace_of(owner, "fork")
        assert (wish["volume"]["id"], wish["volume"]["head"]) == (str(fork.pk), version.manifest)
        assert (wish["volume"]["base"], wish["volume"]["is_saved"]) == (None, True)
        assert (fresh(job).base_name, fork.holder) == ("golden", box(job).pk)

    def test_an_old_workspace_goes_on_as_it_is(self, bucket: str) -> None:
        owner, agent = factories.user(), Agent()
        saved(owner, "golden")
        [own] = saved(owner, "w")
        job = held.job(owner, "w", base="golden")
        [wish] = agent.poll_all()["sandboxes"]
        assert wish["volume"]["head"] == own.manifest
        assert JobEvent.objects.get(job=job, kind="submitted").detail == {"base_ignored": True}

    def test_a_workspace_that_nothing_was_ever_in_begins_as_the_base_is(self, bucket: str) -> None:
        owner, agent = factories.user(), Agent()
        [version] = saved(owner, "golden")
        workspace_create(owner, "w", disk_gb=2)
        job = held.job(owner, "w", base="golden")
        [wish] = agent.poll_all()["sandboxes"]
        assert wish["volume"]["head"] == version.manifest
        assert JobEvent.objects.get(job=job, kind="submitted").detail == {}

    def test_a_base_that_was_never_saved_is_refused(self) -> None:
        agent, owner = Agent(), factories.user()
        held.idle(agent, owner, "golden")
        with pytest.raises(BaseNotSaved):
            held.job(owner, "w", base="golden")
        assert not Workspace.objects.filter(name="w").exists()

    def test_a_base_that_is_not_there_or_not_yours_is_not_found(self, bucket: str) -> None:
        saved(factories.user(), "golden")
        with pytest.raises(WorkspaceNotFound):
            held.job(factories.user(), "w", base="golden")

    def test_a_damaged_base_or_workspace_is_refused_with_what_can_be_done(self, bucket: str) -> None:
        owner = factories.user()
        good, bad = saved(owner, "w", versions=2)
        version_damage(bad, "an object is missing")
        for spec in ({"workspace": "w"}, {"workspace": "v", "base": "w"}):
            with pytest.raises(VersionDamaged) as caught:
                factories.job(owner, **spec)
            assert f"Restore version {good.number}" in caught.value.remediation

    def test_a_workspace_keeps_its_image(self) -> None:
        agent, owner = Agent(), factories.user()
        held.idle(agent, owner, image="python")
        with pytest.raises(WrongImage):
            held.job(owner, image="other")
        assert held.job(owner).image == "python"

    def test_a_persistent_job_without_a_workspace_keeps_a_scratch_sandbox(self) -> None:
        agent, owner = Agent(), factories.user()
        job = factories.job(owner, is_persistent=True)
        [wish] = agent.poll_all()["sandboxes"]
        assert (wish["is_kept"], wish["checkpoint_s"]) == (True, 0)
        assert set(wish["volume"].values()) == {None, False, 1}
        held.start(agent, job)
        held.finish(agent, job)
        assert fresh(job).sandbox == "running"
