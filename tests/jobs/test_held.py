"""Jobs with a workspace or a base, or whose sandbox is kept: submit, wait, enter, stop, end."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from hosts.models import Host
from hosts.services import host_drain, host_revoke
from jobs.errors import BaseNotSaved, WrongImage
from jobs.models import Job, JobEvent
from jobs.services import job_stop, schedule_waiting
from sandboxes.models import Sandbox
from sandboxes.states import SandboxPhase
from tests.jobs import factories, held
from tests.jobs.factories import Agent, finished, lease_of, log, sandbox_ended, sandbox_running
from tests.jobs.held import box, fresh, room, workspace_of
from tests.workspaces.factories import saved
from workspaces.errors import VersionDamaged, WorkspaceInUse, WorkspaceNotFound
from workspaces.models import Version, Workspace
from workspaces.services import version_damage, workspace_create

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def kinds(job: Job) -> list[str]:
    return list(JobEvent.objects.filter(job=job).order_by("pk").values_list("kind", flat=True))


class TestTheWholeLife:
    def test_of_a_job_on_a_local_workspace(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner, memory_mb=512, vcpus=1)
        answer = agent.poll_all()
        sandbox = box(job)
        workspace = workspace_of(owner)
        [wish] = answer["sandboxes"]
        assert wish == {
            "sandbox_id": sandbox.pk, "epoch": 1, "revision": sandbox.revision, "wish": "run",
            "tenant": f"u{owner.pk}", "image": "standard", "image_build": None, "vcpus": 1,
            "memory_mb": 512, "disk_gb": 2,
            "is_kept": False, "checkpoint_s": 60, "sync": 0,
            "volume": {
                "id": str(workspace.pk), "head": None, "base": None, "is_saved": False, "epoch": 1,
            },
        }  # fmt: skip
        [given] = answer["assignments"]
        assert (given["in_sandbox"], given["sandbox_id"], given["job_id"]) == (True, sandbox.pk, str(job.pk))
        assert room(agent) == (1, 512)
        held.start(agent, job)
        assert workspace_of(owner).host_id == agent.host.pk
        held.finish(agent, job, exit_code=3)
        assert (fresh(job).status, fresh(job).exit_code, fresh(job).sandbox) == ("completed", 3, "none")
        assert room(agent) == (1, 512)  # the sandbox still saves
        answer = agent.poll_all()
        assert [wish["wish"] for wish in answer["sandboxes"]] == ["end"]
        held.end(agent, sandbox)
        assert room(agent) == (0, 0)
        assert workspace_of(owner).holder == ""
        assert agent.poll_all()["drop_sandboxes"] == []
        assert kinds(job) == ["submitted", "assigned", "started", "finished"]

    def test_repeated_words_about_a_sandbox_change_nothing(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner)
        sandbox = held.start(agent, job)
        up = sandbox_running(sandbox)
        assert agent.report(up, up) == [{"status": 200}] * 2
        held.finish(agent, job)
        last = sandbox_ended(sandbox)
        assert agent.report(last, last) == [{"status": 200}] * 2
        assert agent.report(last) == [{"status": 200}]
        stale = {"status": 409, "code": "stale_lease"}
        assert agent.report(last | {"reason": "oom"}, up, factories.volume(sandbox)) == [stale] * 3
        assert room(agent) == (0, 0)

    @pytest.mark.parametrize(
        "change",
        [
            {"epoch": 2},
            {"sandbox_id": "0" * 16},
        ],
    )
    def test_another_epoch_or_id_is_refused(self, change: dict[str, Any]) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner)
        stale = {"status": 409, "code": "stale_lease"}
        assert agent.report(sandbox_running(box(job)) | change) == [stale]
        assert agent.report(sandbox_ended(box(job)) | change) == [stale]
        assert box(job).state == SandboxPhase.OFFERED

    def test_another_host_is_refused(self) -> None:
        owner, agent = factories.user(), Agent()
        job = held.job(owner)
        stranger = Agent()
        assert stranger.report(sandbox_ended(box(job))) == [{"status": 409, "code": "stale_lease"}]
        assert box(job).state == SandboxPhase.OFFERED
        assert room(agent)[0] == 1

    @pytest.mark.parametrize(
        "change",
        [
            {"state": "gone"},
            {"reason": "bored"},
            {"epoch": "1"},
            {"sandbox_id": "../../etc/passwd"},
            {"damaged": {"manifest": "x", "object": "y"}},
            {"message": 7},
            {"at": -1},
        ],
    )
    def test_hostile_words_are_refused_alone(self, change: dict[str, Any]) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner)
        bad, good = agent.report(sandbox_ended(box(job)) | change, sandbox_running(box(job)))
        assert (bad["status"], bad["code"]) == (400, "invalid")
        assert good == {"status": 200}
        assert box(job).state == SandboxPhase.RUNNING

    def test_an_end_takes_its_leases_with_it_within_one_report(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner)
        lease = lease_of(job)
        held.start(agent, job)
        results = agent.report(
            sandbox_ended(box(job), "oom", message="all of it\0"), log(lease, 0, b"late"), finished(lease, 0)
        )
        assert results == [{"status": 200}] + [{"status": 409, "code": "stale_lease"}] * 2
        assert (fresh(job).status, fresh(job).reason, fresh(job).message) == ("error", "oom", "all of it")
        assert fresh(job).log_bytes == 0

    def test_an_ephemeral_job_asks_nothing_about_sandboxes(self) -> None:
        agent, owner = Agent(), factories.user()
        with CaptureQueriesContext(connection) as queries:
            job = factories.job(owner)
            agent.poll()
            agent.run(job)
        asked = [query["sql"] for query in queries]
        assert not [sql for sql in asked if "sandboxes_sandbox" in sql or "workspaces_workspace" in sql]


class TestOneAtATime:
    def test_a_second_job_is_told_who_uses_the_workspace(self) -> None:
        agent, owner = Agent(), factories.user()
        first = held.job(owner, kept=True, name="trainer")
        with pytest.raises(WorkspaceInUse, match="already in use by the job trainer"):
            held.job(owner)
        held.start(agent, first)
        with pytest.raises(WorkspaceInUse, match="already in use"):
            held.job(owner)
        assert Job.objects.count() == 1

    def test_of_two_racing_submits_one_wins(self) -> None:
        Agent()
        owner = factories.user()
        gate, outcomes = threading.Barrier(2), []

        def submit() -> None:
            try:
                gate.wait()
                outcomes.append(held.job(owner).status)
            except WorkspaceInUse as error:
                outcomes.append("already in use" in error.message)
            finally:
                connection.close()

        threads = [threading.Thread(target=submit) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes, key=str) == [True, "accepted"]
        assert (Job.objects.count(), Sandbox.objects.count()) == (1, 1)

    def test_somebody_elses_workspace_of_the_same_name_is_another_one(self) -> None:
        Agent()
        one, two = held.job(factories.user()), held.job(factories.user())
        assert one.workspace_id != two.workspace_id

    def test_a_job_enters_a_kept_sandbox_that_is_idle(self) -> None:
        agent, owner = Agent(sandboxes=1), factories.user()
        first = held.idle(agent, owner)
        assert (first.status, first.sandbox) == ("completed", "running")
        agent.poll_all()
        second = held.job(owner)
        assert (second.status, box(second).pk) == ("accepted", box(first).pk)
        answer = agent.poll_all()
        assert [given["job_id"] for given in answer["assignments"]] == [str(second.pk)]
        assert answer["sandboxes"] == []  # nothing about it changed
        assert room(agent)[0] == 1
        with pytest.raises(WorkspaceInUse):
            held.job(owner)
        held.start(agent, second)
        held.finish(agent, second)
        assert fresh(second).sandbox == "running"
        assert box(second).state == SandboxPhase.RUNNING

    def test_a_job_that_wants_more_of_an_idle_sandbox_gets_it(self) -> None:
        agent, owner = Agent(), factories.user()
        held.idle(agent, owner, is_synced=False)
        agent.poll_all()
        held.job(owner, kept=True, disk_gb=9)
        [wish] = agent.poll_all()["sandboxes"]
        assert (wish["disk_gb"], wish["volume"]["is_saved"]) == (9, True)
        assert workspace_of(owner).disk_gb == 9

    def test_a_job_waits_for_the_end_of_a_sandbox_that_saves(self) -> None:
        agent, owner = Agent(), factories.user()
        first = held.job(owner)
        sandbox = held.start(agent, first)
        held.finish(agent, first)
        second = held.job(owner)
        assert (second.status, second.reason) == ("accepted", "saving")
        schedule_waiting(explain=True)
        assert (fresh(second).reason, fresh(second).attempt) == ("saving", 0)
        with pytest.raises(WorkspaceInUse):
            held.job(owner)
        held.end(agent, sandbox)
        assert box(second).pk != sandbox.pk
        assert box(second).epoch == sandbox.epoch + 1
        assert (fresh(second).attempt, workspace_of(owner).holder) == (1, box(second).pk)
        held.start(agent, second)
        assert room(agent)[0] == 1

    def test_nobody_else_waits_for_such_a_job(self) -> None:
        agent, owner = Agent(), factories.user()
        first = held.job(owner)
        held.start(agent, first)
        held.finish(agent, first)
        held.job(owner)
        assert factories.job().attempt == 1

    def test_a_stopped_wait_leaves_the_sandbox_before_alone(self) -> None:
        agent, owner = Agent(), factories.user()
        first = held.job(owner)
        sandbox = held.start(agent, first)
        held.finish(agent, first)
        second = held.job(owner)
        assert job_stop(second).status == "completed"
        held.end(agent, sandbox)
        assert workspace_of(owner).holder == ""
        assert Sandbox.objects.count() == 1


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


class TestStop:
    def test_a_running_job_and_its_sandbox(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner, kept=True)
        held.start(agent, job)
        agent.poll_all()
        job_stop(fresh(job))
        answer = agent.poll_all()
        assert [x["wish"] for x in answer["assignments"] + answer["sandboxes"]] == ["stop", "end"]
        held.finish(agent, job, outcome="stopped", exit_code=None)
        assert (fresh(job).reason, fresh(job).sandbox) == ("stopped", "none")
        held.end(agent, box(job), "stopped")
        assert (room(agent), workspace_of(owner).holder) == ((0, 0), "")

    def test_a_finished_job_whose_sandbox_lives(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.idle(agent, owner)
        agent.poll_all()
        job_stop(job)
        revision = box(job).revision
        assert [x["wish"] for x in agent.poll_all()["sandboxes"]] == ["end"]
        job_stop(fresh(job))
        assert box(job).revision == revision  # asked once
        held.end(agent, box(job), "stopped")
        assert (fresh(job).status, fresh(job).reason, fresh(job).sandbox) == ("completed", "", "none")
        assert kinds(job)[-1] == "sandbox_ended"
        assert job_stop(fresh(job)).sandbox == "none"

    def test_the_script_of_another_job_in_the_sandbox_is_stopped_too(self) -> None:
        agent, owner = Agent(), factories.user()
        first = held.idle(agent, owner)
        second = held.job(owner)
        held.start(agent, second)
        agent.poll_all()
        job_stop(first)
        answer = agent.poll_all()
        assert [x["wish"] for x in answer["assignments"] + answer["sandboxes"]] == ["stop", "end"]
        assert fresh(second).stop_requested_at is not None

    def test_a_kept_sandbox_that_is_not_up_when_its_script_has_ended(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner, kept=True)
        held.finish(agent, job)
        assert (fresh(job).status, fresh(job).sandbox) == ("completed", "running")
        second = held.job(owner)
        assert second.attempt == 0
        assert agent.report(sandbox_running(box(job))) == [{"status": 200}]
        assert (fresh(second).attempt, box(second).pk) == (1, box(job).pk)
        assert job_stop(fresh(job)).sandbox == "running"
        assert box(job).is_stop_wished

    def test_where_the_data_lies_is_known_though_its_end_is_wished(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner)
        job_stop(job)
        assert agent.report(sandbox_running(box(job))) == [{"status": 200}]
        assert (box(job).state, workspace_of(owner).host) == (SandboxPhase.ENDING, agent.host)

    def test_nobody_enters_a_sandbox_that_is_to_end(self) -> None:
        agent, owner = Agent(), factories.user()
        first = held.idle(agent, owner)
        job_stop(first)
        second = held.job(owner)
        assert second.reason == "saving"
        held.end(agent, box(first), "stopped")
        assert fresh(second).attempt == 1


class TestAttempts:
    def test_a_retry_runs_in_the_kept_sandbox(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner, kept=True, retries=1)
        sandbox = held.start(agent, job)
        held.finish(agent, job, outcome="oom", exit_code=137)
        assert (fresh(job).attempt, lease_of(job).sandbox_id) == (2, sandbox.pk)
        assert room(agent)[0] == 1

    def test_an_attempt_that_failed_before_the_sandbox_was_up_waits_for_it(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner, kept=True)
        held.finish(agent, job, outcome="start_failed", exit_code=None)
        assert held.live_leases(job) == 0
        held_up = sandbox_running(box(job))
        assert agent.report(held_up) == [{"status": 200}]
        assert (fresh(job).attempt, held.live_leases(job)) == (2, 1)

    def test_a_retry_without_a_kept_sandbox_waits_for_the_next_one(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner, retries=1)
        sandbox = held.start(agent, job)
        held.finish(agent, job, outcome="oom", exit_code=137)
        assert (fresh(job).status, held.live_leases(job)) == ("accepted", 0)
        held.end(agent, sandbox)
        assert (fresh(job).attempt, box(job).epoch) == (2, 2)
        assert lease_of(job).sandbox_id == box(job).pk != sandbox.pk

    def test_a_sandbox_that_does_not_start_is_tried_again_elsewhere(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.job(owner)
        for attempt in (1, 2, 3):
            assert fresh(job).attempt == attempt
            held.end(agent, box(job), "restore_failed", message="no network")
        assert (fresh(job).status, fresh(job).reason) == ("error", "start_failed")
        assert (room(agent), workspace_of(owner).holder) == ((0, 0), "")

    def test_a_damaged_workspace_is_marked_and_not_tried_again(self, bucket: str) -> None:
        agent, owner = Agent(), factories.user()
        good, bad = saved(owner, versions=2)
        job = held.job(owner)
        lost = {"manifest": bad.manifest, "object": "0" * 64}
        held.end(agent, box(job), "damaged", message="object is missing", damaged=lost)
        assert (fresh(job).status, fresh(job).message) == ("error", "object is missing")
        assert workspace_of(owner).damage == "object is missing"
        assert Version.objects.get(pk=bad.pk).damaged_at is not None
        assert Version.objects.get(pk=good.pk).damaged_at is None
