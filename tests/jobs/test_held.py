"""Jobs with a workspace, or whose sandbox is kept: what host and server say, one job at a time."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.models import Job
from jobs.services import job_stop, schedule_waiting
from sandboxes.models import Sandbox
from sandboxes.states import SandboxPhase
from tests.jobs import factories, held
from tests.jobs.factories import Agent, finished, kinds, lease_of, log, sandbox_ended, sandbox_running
from tests.jobs.held import box, fresh, room, workspace_of
from workspaces.errors import WorkspaceInUse

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


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
            "is_kept": False, "checkpoint_s": 60, "sync": 0, "sleep": None, "wake": 0, "startup": None,
            "ssh": None,
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
        about = [sql for sql in asked if "sandboxes_sandbox" in sql or "workspaces_workspace" in sql]
        assert len(about) == 1  # once it has ended: whether a sandbox waits for the room
        assert about[0].endswith("""WHERE "sandboxes_sandbox"."state" = 'waiting' LIMIT 1""")


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
