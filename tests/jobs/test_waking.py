"""Sandboxes that have ended and come back: for whoever wants them, or by themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from core.errors import Unavailable
from hosts.models import Host
from jobs.errors import CannotWake
from jobs.models import FleetWatch, Job, JobEvent
from jobs.services import job_stop, sandbox_wake, sweep
from jobs.standing import Standing, groups_of, sandbox_serving
from sandboxes.models import Sandbox
from tests.jobs import factories, held
from tests.jobs.factories import API, Agent, kinds, sandbox_asleep, sandbox_ending, sandbox_running
from tests.jobs.held import box, fresh, room, workspace_of
from tests.shape import assert_error
from tests.workspaces.factories import saved
from workspaces.services import workspace_delete

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis", "bucket")]
OK = {"status": 200}


def asleep(agent: Agent, owner: User, **spec: Any) -> Job:
    """A job whose sandbox slept for long, and has ended for that."""
    saved(owner)
    job = held.idle(agent, owner, **spec)
    agent.report(sandbox_asleep(box(job)))
    held.end(agent, box(job), "idle")
    return fresh(job)


def up(agent: Agent, job: Job) -> Sandbox:
    """The job's new sandbox is up."""
    assert agent.report(sandbox_running(box(job))) == [OK]
    return box(job)


def give_up(agent: Agent) -> None:
    """The host falls silent and the sweep notices."""
    now = timezone.now()
    FleetWatch.objects.update_or_create(
        id=1, defaults={"swept_at": now, "steady_since": now - timedelta(hours=1)}
    )
    Host.objects.filter(pk=agent.host.pk).update(last_seen_at=now - timedelta(minutes=5))
    assert sweep(is_reachable=True) == [agent.host.name]


def last(job: Job, kind: str) -> dict[str, Any]:
    event = JobEvent.objects.filter(job=job, kind=kind).order_by("-pk").first()
    assert event is not None, kinds(job)
    found: dict[str, Any] = event.detail
    return found


class TestWake:
    def test_of_one_that_slept_for_long(self, owner: User, client: Client) -> None:
        agent = Agent()
        job = asleep(agent, owner, startup_command="./serve", environment={"A": "1"})
        former = box(job)
        assert (job.status, job.sandbox, room(agent)) == ("completed", "sleeping", (0, 0))
        assert "stopped_idle" in kinds(job)
        agent.poll_all()
        answer = client.post(f"{API}/mags-jobs/{job.pk}/wake")
        assert answer.status_code == 202
        assert (answer.json()["sandbox"], answer.json()["vm_id"]) == ("sleeping", None)
        [wish] = agent.poll_all()["sandboxes"]
        assert wish["sandbox_id"] == box(job).pk != former.pk
        assert wish["volume"]["head"] == workspace_of(owner).head.manifest  # type: ignore[union-attr]
        assert wish["startup"] == {"command": "./serve", "environment": {"A": "1"}}
        up(agent, job)
        shown = client.get(f"{API}/mags-jobs/{job.pk}").json()
        assert (shown["status"], shown["sandbox"], shown["vm_id"]) == ("completed", "running", box(job).pk)
        assert (shown["host"], shown["exit_code"], shown["attempt"]) == (agent.host.name, 0, 1)
        assert kinds(job)[-2:] == ["waking", "up"]
        assert last(job, "up")["stages"] == {"assigned": 1, "restored": 2, "started": 3}

    def test_however_many_ask_there_is_one(self, owner: User) -> None:
        agent = Agent()
        job = asleep(agent, owner)
        assert [sandbox_wake(fresh(job), "url") for _ in range(3)] == [Standing.STARTING] * 3
        assert Sandbox.objects.exclude(state="ended").count() == kinds(job).count("waking") == 1
        up(agent, job)
        assert sandbox_wake(fresh(job), "url") is Standing.RUNNING
        assert room(agent) == (1, 1024)

    def test_goes_to_the_host_with_the_files(self, owner: User) -> None:
        other, agent = Agent(), Agent()
        saved(owner)
        job = held.job(owner, kept=True)
        agent, other = (agent, other) if box(job).host == agent.host else (other, agent)
        held.start(agent, job)
        held.finish(agent, job)
        held.end(agent, box(job), "idle")
        factories.job()  # one more lease makes it the more loaded of the two, or not
        sandbox_wake(fresh(job), "exec")
        assert box(job).host == agent.host

    def test_waits_for_room_and_says_so(self, owner: User, client: Client) -> None:
        agent = Agent(sandboxes=1)
        job = asleep(agent, owner)
        small = factories.job()
        assert sandbox_wake(job, "url") is Standing.STARTING
        shown = client.get(f"{API}/mags-jobs/{job.pk}").json()
        assert shown["sandbox_message"] == "Every host is full. The sandbox starts as soon as there is room."
        assert last(job, "sandbox_waits")["reason"] == "no_capacity"
        agent.run(small)
        assert (box(job).state, fresh(job).sandbox_message) == ("offered", "")

    def test_takes_turns_with_jobs(self, owner: User) -> None:
        agent = Agent(sandboxes=1)
        job = asleep(agent, owner)
        running, waiting = factories.job(), factories.job()
        sandbox_wake(job, "url")
        agent.run(running)
        assert fresh(waiting).assigned_at is not None  # it was first
        agent.run(waiting)
        assert box(job).state == "offered"

    def test_of_one_that_is_frozen_is_wished_once(self, owner: User) -> None:
        agent = Agent()
        job = held.idle(agent, owner)
        agent.report(sandbox_asleep(box(job)))
        agent.poll_all()
        assert [sandbox_wake(fresh(job), "exec") for _ in range(3)] == [Standing.RUNNING] * 3
        [wish] = agent.poll_all()["sandboxes"]
        assert (wish["wake"], kinds(job).count("waking")) == (1, 1)
        agent.report(factories.sandbox_awake(box(job), cause="wish"), sandbox_asleep(box(job)))
        sandbox_wake(fresh(job), "exec")
        assert box(job).wake_wished == 2

    def test_a_run_submitted_meanwhile_enters_it_when_it_is_up(self, owner: User) -> None:
        agent = Agent()
        job = asleep(agent, owner)
        sandbox_wake(job, "url")
        run = held.job(owner)
        assert (run.reason, box(run).pk) == ("starting", box(job).pk)
        up(agent, job)
        assert held.live_leases(run) == 1
        agent.report(factories.started(factories.lease_of(run)))
        assert (fresh(run).status, fresh(job).sandbox) == ("running", "running")

    def test_a_run_goes_with_one_that_waits_for_room(self, owner: User) -> None:
        agent = Agent(sandboxes=1)
        job = asleep(agent, owner, memory_mb=512)
        small = factories.job()
        sandbox_wake(job, "url")
        run = held.job(owner, memory_mb=256)
        assert (run.reason, run.memory_mb) == ("no_capacity", 512)
        agent.run(small)
        assert (box(run).state, held.live_leases(run), room(agent)) == ("offered", 1, (1, 512))

    def test_by_an_older_job_of_the_workspace(self, owner: User) -> None:
        agent = Agent()
        saved(owner)
        older = held.idle(agent, owner)
        newer = held.job(owner, kept=True)
        agent.report(factories.started(factories.lease_of(newer)))
        held.finish(agent, newer)
        held.end(agent, box(newer), "idle")
        assert (fresh(older).sandbox, fresh(newer).sandbox) == ("none", "sleeping")
        sandbox_wake(fresh(older), "ssh")
        up(agent, newer)
        assert (fresh(older).sandbox, fresh(newer).sandbox, box(older)) == ("running", "running", box(newer))
        serving = sandbox_serving(workspace_of(owner).pk, None)
        assert groups_of(serving) == (f"job.{newer.pk}",)

    def test_of_what_ends_just_now_is_done_after_that(self, owner: User) -> None:
        agent = Agent()
        saved(owner)
        job = held.idle(agent, owner)
        agent.report(sandbox_ending(box(job)))
        former = box(job)
        assert sandbox_wake(fresh(job), "url") is Standing.STARTING
        assert sandbox_wake(fresh(job), "ssh") is Standing.STARTING
        assert fresh(job).sandbox == "sleeping"  # who waits for the next one does not take this one for it
        held.end(agent, former, "idle")
        assert (box(job).state, box(job).made_for) == ("offered", "url")
        assert box(job).pk != former.pk

    def test_that_came_too_late_for_a_frozen_one_is_kept(self, owner: User) -> None:
        agent = Agent()
        saved(owner)
        job = held.idle(agent, owner)
        agent.report(sandbox_asleep(box(job)))
        sandbox_wake(fresh(job), "exec")
        held.end(agent, box(job), "idle")  # the host had decided before it read the wish
        assert (box(job).state, fresh(job).sandbox) == ("offered", "sleeping")

    def test_a_stranger_is_told_nothing(self, owner: User) -> None:
        job = asleep(Agent(), owner)
        answer = factories.client_of(factories.user()).post(f"{API}/mags-jobs/{job.pk}/wake")
        assert_error(answer, 404, "job_not_found")


class TestCannotWake:
    def test_a_job_whose_sandbox_lives_with_it(self, owner: User, client: Client) -> None:
        agent, job = Agent(), factories.job(owner)
        agent.run(job)
        assert_error(client.post(f"{API}/mags-jobs/{job.pk}/wake"), 409, "cannot_wake")

    def test_what_was_never_saved(self, owner: User) -> None:
        agent = Agent()
        job = held.idle(agent, owner)
        held.end(agent, box(job), "oom")
        assert fresh(job).sandbox == "none"
        with pytest.raises(CannotWake, match="ever saved"):
            sandbox_wake(fresh(job), "exec")

    def test_what_is_damaged(self, owner: User) -> None:
        agent = Agent()
        job = asleep(agent, owner)
        type(workspace_of(owner)).objects.update(damaged_at=timezone.now(), damage="An object is missing.")
        with pytest.raises(CannotWake, match="damaged"):
            sandbox_wake(fresh(job), "exec")

    def test_what_its_owner_put_away_but_by_its_owner(self, owner: User) -> None:
        agent = Agent()
        saved(owner)
        job = held.idle(agent, owner)
        job_stop(fresh(job))
        with pytest.raises(CannotWake, match="a visit does not start it"):
            sandbox_wake(fresh(job), "url")
        held.end(agent, box(job), "stopped")
        assert fresh(job).sandbox == "none"
        with pytest.raises(CannotWake, match="a visit does not start it"):
            sandbox_wake(fresh(job), "url")
        assert sandbox_wake(fresh(job), "ssh") is Standing.STARTING
        up(agent, job)
        held.end(agent, box(job), "idle")
        assert sandbox_wake(fresh(job), "url") is Standing.STARTING  # it is in use again

    def test_one_that_keeps_dying_is_not_made_for_every_visitor(self, owner: User) -> None:
        agent = Agent()
        job = asleep(agent, owner)
        for _ in range(2):
            sandbox_wake(fresh(job), "url")
            held.end(agent, box(job), "start_failed", message="no room on the disk")
        assert (fresh(job).sandbox, fresh(job).deaths) == ("sleeping", 2)
        with pytest.raises(Unavailable, match="2 times") as refusal:
            sandbox_wake(fresh(job), "url")
        assert refusal.value.retry_after_s is not None
        assert sandbox_wake(fresh(job), "wish") is Standing.STARTING

    def test_a_workspace_that_was_deleted(self, owner: User) -> None:
        job = asleep(Agent(), owner)
        workspace_delete(workspace_of(owner))
        assert (fresh(job).sandbox, kinds(job)[-1]) == ("none", "workspace_deleted")
        with pytest.raises(CannotWake, match="deleted"):
            sandbox_wake(fresh(job), "wish")


class TestStop:
    def test_of_what_sleeps(self, owner: User, client: Client) -> None:
        job = asleep(Agent(), owner)
        for _ in range(2):
            assert client.post(f"{API}/mags-jobs/{job.pk}/stop").status_code == 200
        assert (fresh(job).sandbox, kinds(job).count("sandbox_stopped")) == ("none", 1)
        with pytest.raises(CannotWake, match="a visit does not start it"):
            sandbox_wake(fresh(job), "url")

    @pytest.mark.parametrize("sandboxes", [1, 2])
    def test_of_one_that_waits_or_comes_up(self, owner: User, sandboxes: int) -> None:
        agent = Agent(sandboxes=sandboxes)
        job = asleep(agent, owner)
        factories.job()
        sandbox_wake(job, "url")
        job_stop(fresh(job))
        if sandboxes == 2:
            held.end(agent, box(job), "stopped")
        assert (box(job).state, fresh(job).sandbox, room(agent)[0]) == ("ended", "none", 1)
        assert workspace_of(owner).holder == ""

    def test_after_a_wake_takes_it_back(self, owner: User) -> None:
        agent = Agent()
        saved(owner)
        job = held.idle(agent, owner)
        agent.report(sandbox_ending(box(job)))
        sandbox_wake(fresh(job), "url")
        job_stop(fresh(job))
        held.end(agent, box(job), "idle")
        assert (fresh(job).sandbox, workspace_of(owner).holder) == ("none", "")

    def test_of_a_local_run_leaves_the_sandbox_that_others_keep(self, owner: User) -> None:
        agent = Agent()
        job = held.idle(agent, owner)
        run = held.job(owner)
        job_stop(run)
        assert (box(job).is_stop_wished, factories.lease_of(run).is_stop_wished) == (False, True)
        held.finish(agent, run, outcome="stopped", exit_code=143)
        job_stop(fresh(run))  # and now it means the sandbox: nothing else is left to be stopped
        assert box(job).is_stop_wished


class TestAlwaysOn:
    def test_is_made_again_elsewhere_when_its_host_is_lost(self, owner: User, client: Client) -> None:
        lost = Agent()
        [version] = saved(owner)
        job = held.idle(lost, owner, no_sleep=True, startup_command="./serve", url_port=80)
        agent = Agent()
        give_up(lost)
        assert (fresh(job).status, fresh(job).sandbox) == ("completed", "sleeping")
        [wish] = agent.poll_all()["sandboxes"]
        assert (wish["volume"]["head"], wish["startup"]["command"]) == (version.manifest, "./serve")
        assert wish["sleep"] is None
        assert last(job, "recovering") == {
            "reason": "lost", "host": lost.host.name, "attempt": 1, "again_s": 0.0,
        }  # fmt: skip
        up(agent, job)
        shown = client.get(f"{API}/mags-jobs/{job.pk}").json()
        assert (shown["sandbox"], shown["host"], shown["id"]) == ("running", agent.host.name, str(job.pk))
        recovered = last(job, "recovered")
        assert (recovered["reason"], recovered["host"], recovered["ms"] >= 0) == (
            "lost",
            agent.host.name,
            True,
        )
        assert fresh(job).down_since is None

    def test_a_script_that_was_lost_ends_and_does_not_run_again(self, owner: User) -> None:
        lost = Agent()
        saved(owner)
        job = held.job(owner, kept=True, no_sleep=True, startup_command="./serve")
        held.start(lost, job)
        agent = Agent()
        give_up(lost)
        assert (fresh(job).status, fresh(job).reason) == ("error", "host_lost")
        answer = agent.poll_all()
        assert (answer["assignments"], len(answer["sandboxes"])) == ([], 1)
        up(agent, job)
        assert (fresh(job).status, fresh(job).sandbox, fresh(job).attempt) == ("error", "running", 1)

    def test_without_a_durable_version_there_is_nothing_to_make_it_from(self, owner: User) -> None:
        lost = Agent()
        job = held.idle(lost, owner, no_sleep=True)
        Agent()
        give_up(lost)
        assert (fresh(job).sandbox, Sandbox.objects.exclude(state="ended").count()) == ("none", 0)
        assert "ever saved" in fresh(job).sandbox_message
        assert kinds(job)[-2:] == ["sandbox_ended", "recovery_failed"]

    def test_waits_for_a_host(self, owner: User) -> None:
        lost = Agent()
        saved(owner)
        job = held.idle(lost, owner, no_sleep=True)
        give_up(lost)
        assert (box(job).state, fresh(job).sandbox) == ("waiting", "sleeping")
        assert fresh(job).sandbox_message.startswith("No host is online. The sandbox starts")
        agent = Agent()
        assert box(job).host == agent.host

    def test_one_that_dies_is_made_again_with_a_growing_pause(self, owner: User) -> None:
        agent = Agent()
        saved(owner)
        job = held.idle(agent, owner, no_sleep=True)
        held.end(agent, box(job), "oom")
        up(agent, job)  # at once
        held.end(agent, box(job), "oom")
        assert (box(job).state, fresh(job).deaths) == ("ended", 2)
        sweep(is_reachable=True)
        assert box(job).state == "ended"  # a second has not passed
        sweep(is_reachable=True, now=timezone.now() + timedelta(seconds=2))
        up(agent, job)
        Sandbox.objects.filter(pk=box(job).pk).update(up_at=timezone.now() - timedelta(minutes=6))
        held.end(agent, box(job), "disk_full")
        assert (fresh(job).deaths, box(job).state) == (1, "offered")
        assert [x.detail["attempt"] for x in JobEvent.objects.filter(job=job, kind="recovering")] == [1, 2, 1]

    def test_losing_hosts_one_after_the_other_is_no_fault_of_its_own(self, owner: User) -> None:
        hosts = [Agent() for _ in range(2)]
        saved(owner)
        job = held.idle(hosts[0], owner, no_sleep=True)
        held.end(hosts[0], box(job), "oom")
        for _ in range(5):
            up(next(agent for agent in hosts if agent.host == box(job).host), job)
            lost = next(agent for agent in hosts if agent.host == box(job).host)
            Agent.boot(next(agent for agent in hosts if agent is not lost))
            give_up(lost)
            assert (box(job).state, fresh(job).deaths, fresh(job).recover_at) == ("offered", 1, None)
            assert box(job).host != lost.host
            lost.boot()

    def test_a_stop_ends_the_attempts(self, owner: User) -> None:
        agent = Agent()
        saved(owner)
        job = held.idle(agent, owner, no_sleep=True)
        for _ in range(2):
            held.end(agent, box(job), "oom")
            if box(job).state == "offered":
                up(agent, job)
        job_stop(fresh(job))
        sweep(is_reachable=True, now=timezone.now() + timedelta(hours=1))
        assert (fresh(job).sandbox, Sandbox.objects.exclude(state="ended").count()) == ("none", 0)

    def test_leaves_a_draining_host(self, owner: User) -> None:
        agent = Agent()
        saved(owner)
        job = held.idle(agent, owner, no_sleep=True)
        other = Agent()
        Host.objects.filter(pk=agent.host.pk).update(is_draining=True)
        sweep(is_reachable=True)
        held.end(agent, box(job), "stopped")
        assert (box(job).host, fresh(job).deaths) == (other.host, 0)

    def test_after_an_hour_without_a_worker_nothing_is_lost_early(self, owner: User) -> None:
        agent = Agent()
        saved(owner)
        job = held.idle(agent, owner, no_sleep=True)
        hour_ago = timezone.now() - timedelta(hours=1)
        FleetWatch.objects.create(id=1, swept_at=hour_ago, steady_since=hour_ago - timedelta(hours=1))
        Host.objects.update(last_seen_at=hour_ago)
        assert sweep(is_reachable=True) == []
        assert (box(job).state, fresh(job).sandbox) == ("running", "running")

    def test_a_job_that_used_the_workspace_between_gives_it_back(self, owner: User) -> None:
        agent = Agent()
        saved(owner)
        job = held.idle(agent, owner, no_sleep=True)
        Host.objects.update(is_draining=True)
        sweep(is_reachable=True)
        run = held.job(owner)  # waits for its end, and has the next one to itself
        held.end(agent, box(job), "stopped")
        assert fresh(run).in_sandbox != fresh(job).in_sandbox
        Host.objects.update(is_draining=False)
        sweep(is_reachable=True)
        held.start(agent, run)
        held.finish(agent, run)
        held.end(agent, box(run))
        assert (box(job).state, box(job).made_for, fresh(run).sandbox) == ("offered", "recovery", "none")

    def test_that_was_asleep_gets_up_when_it_is_switched_on(self, owner: User, client: Client) -> None:
        job = asleep(Agent(), owner)
        body = {"no_sleep": True}
        client.patch(f"{API}/mags-jobs/{job.pk}", body, content_type="application/json")
        assert (box(job).state, box(job).sleeps, fresh(job).no_sleep) == ("offered", False, True)

    def test_nothing_changes_where_it_cannot_get_up(self, owner: User, client: Client) -> None:
        job = asleep(Agent(), owner)
        type(workspace_of(owner)).objects.update(damaged_at=timezone.now(), damage="An object is missing.")
        body = {"no_sleep": True}
        answer = client.patch(f"{API}/mags-jobs/{job.pk}", body, content_type="application/json")
        assert_error(answer, 409, "cannot_wake")
        assert (fresh(job).no_sleep, fresh(job).revision) == (False, job.revision)
