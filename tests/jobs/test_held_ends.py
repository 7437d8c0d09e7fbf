"""Jobs with a workspace, or whose sandbox is kept: stops and further attempts."""

from __future__ import annotations

import pytest

from jobs.services import job_stop
from sandboxes.states import SandboxPhase
from tests.jobs import factories, held
from tests.jobs.factories import Agent, kinds, lease_of, sandbox_running
from tests.jobs.held import box, fresh, room, workspace_of
from tests.workspaces.factories import saved
from workspaces.models import Version

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


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

    def test_nobody_enters_a_sandbox_that_has_died_and_is_saved(self) -> None:
        agent, owner = Agent(), factories.user()
        first = held.idle(agent, owner)
        died = [{"status": 200}]
        assert agent.report(factories.sandbox_ending(box(first))) == died
        assert agent.report(factories.sandbox_ending(box(first))) == died  # said again
        second = held.job(owner)
        assert (second.reason, held.live_leases(second)) == ("saving", 0)
        held.end(agent, box(first), "lost")
        assert (fresh(second).attempt, held.live_leases(second)) == (1, 1)

    def test_who_entered_it_just_before_waits_for_its_end(self) -> None:
        """One attempt is lost for that, not all of them."""
        agent, owner = Agent(), factories.user()
        first = held.idle(agent, owner)
        second = held.job(owner)
        lease = lease_of(second)
        failed = factories.finished(lease, lease.log_offset, outcome="start_failed", exit_code=None)
        assert agent.report(failed, factories.sandbox_ending(box(first))) == [{"status": 200}] * 2
        assert (fresh(second).status, fresh(second).attempt) == ("accepted", 1)
        held.end(agent, box(first), "lost")
        assert (fresh(second).attempt, held.live_leases(second)) == (2, 1)


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
