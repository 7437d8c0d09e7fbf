"""Scheduling, waiting, and what becomes of jobs when hosts fall silent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from hosts.models import Host
from hosts.services import host_drain, host_revoke
from jobs import tasks
from jobs.models import FleetWatch, Job, LogChunk
from jobs.services import logs_expire, room, schedule, schedule_waiting, sweep
from jobs.states import LeaseState
from tests.jobs import factories
from tests.jobs.factories import Agent, lease_of, log, started

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def fresh(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


class TestWaiting:
    def test_the_reason_follows_the_fleet(self) -> None:
        job = factories.job(memory_mb=2048)
        assert (job.reason, job.message) == ("no_host", room.NO_HOST)
        small = Agent(memory_mb=1024)
        assert (fresh(job).reason, fresh(job).message) == ("no_capacity", room.TOO_LARGE_NOW)
        host_drain(small.host.name, is_draining=True)
        schedule_waiting(explain=True)
        assert (fresh(job).reason, fresh(job).message) == ("no_host", room.ALL_DRAINING)
        full = Agent(memory_mb=2048, sandboxes=0)
        assert (fresh(job).reason, fresh(job).message) == ("no_capacity", room.ALL_FULL)
        revision = fresh(job).revision
        schedule_waiting(explain=True)
        assert fresh(job).revision == revision  # said once
        full.capacity["sandboxes"] = 1
        full.boot()
        assert (fresh(job).reason, fresh(job).message, lease_of(job).host_id) == ("", "", full.host.pk)

    def test_the_least_loaded_host_is_taken(self) -> None:
        large, small = Agent(sandboxes=4), Agent(sandboxes=2)
        hosts = [lease_of(factories.job()).host_id for _ in range(6)]
        assert (hosts.count(large.host.pk), hosts.count(small.host.pk)) == (4, 2)
        assert hosts[:2] in ([large.host.pk, small.host.pk], [small.host.pk, large.host.pk])

    def test_owners_take_turns(self) -> None:
        busy, modest = factories.user(), factories.user()
        many = [factories.job(busy) for _ in range(3)]
        one = factories.job(modest)
        Agent(sandboxes=2)
        assert {job.pk for job in Job.objects.filter(attempt=1)} == {many[0].pk, one.pk}

    def test_a_new_job_does_not_pass_those_that_wait(self) -> None:
        owner = factories.user()
        first = factories.job(owner)
        agent = Agent(sandboxes=1, boot=False)
        Host.objects.filter(pk=agent.host.pk).update(
            is_online=True, boot_epoch=1, capacity_sandboxes=1, capacity_memory_mb=4096, capacity_vcpus=4
        )
        second = factories.job(owner)
        assert lease_of(first).host_id == agent.host.pk
        assert (fresh(second).assigned_at, fresh(second).reason) == (None, "no_capacity")

    def test_small_jobs_pass_a_large_one_for_a_while(self) -> None:
        agent = Agent(memory_mb=3000)
        running, large = factories.job(memory_mb=2000), factories.job(memory_mb=2000)
        small = factories.job(memory_mb=500)
        assert (lease_of(small).host_id, fresh(large).assigned_at) == (agent.host.pk, None)
        long_ago = timezone.now() - timedelta(seconds=schedule.PASS_OVER_LIMIT_S + 1)
        Job.objects.filter(pk=large.pk).update(created_at=long_ago)
        other = factories.job(memory_mb=500)
        assert fresh(other).assigned_at is None  # it would fit, but the large one is overdue
        agent.run(running)
        assert lease_of(large).host_id == agent.host.pk
        assert lease_of(other).host_id == agent.host.pk

    def test_room_that_appears_just_after_a_submit_looked_is_found(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        agent = Agent(sandboxes=1)
        first = factories.job()
        read = room.hosts_known

        def read_then_end_the_first() -> list[Host]:
            hosts = read()
            monkeypatch.setattr(room, "hosts_known", read)
            agent.run(first)
            return hosts

        monkeypatch.setattr(room, "hosts_known", read_then_end_the_first)
        second = factories.job()
        assert second.reason == "no_capacity"  # that is what it saw
        assert lease_of(second).host_id == agent.host.pk

    def test_a_draining_or_revoked_host_gets_nothing(self) -> None:
        draining, revoked = Agent(), Agent()
        host_drain(draining.host.name, is_draining=True)
        host_revoke(revoked.host.name)
        assert factories.job().assigned_at is None


class TestLostHosts:
    @pytest.fixture(autouse=True)
    def _steady(self) -> None:
        """The control plane has been there for an hour."""
        now = timezone.now()
        FleetWatch.objects.create(swept_at=now, steady_since=now - timedelta(hours=1))

    def silence(self, *agents: Agent) -> None:
        long_ago = timezone.now() - timedelta(seconds=61)
        Host.objects.filter(pk__in=[agent.host.pk for agent in agents]).update(last_seen_at=long_ago)

    def test_a_silent_host_loses_its_jobs(self) -> None:
        agent = Agent()
        job, never_started = factories.job(), factories.job()
        lease = lease_of(job)
        agent.report(started(lease))
        self.silence(agent)
        assert sweep(is_reachable=True) == [agent.host.name]
        job = fresh(job)
        assert (job.status, job.reason, job.exit_code) == ("error", "host_lost", None)
        assert "not heard of" in job.message
        assert (fresh(never_started).status, fresh(never_started).reason) == ("accepted", "no_host")
        host = Host.objects.get(pk=agent.host.pk)
        assert (host.is_online, host.used_sandboxes, host.used_memory_mb) == (False, 0, 0)
        # It was only cut off: what it says is late, and it learns what to drop.
        assert agent.report(log(lease, 0, b"late")) == [{"status": 409, "code": "stale_lease"}]
        _, answer = agent.call("get", f"/poll?boot_epoch={agent.boot_epoch}&after={agent.revision}&wait=0")
        assert lease.pk in answer["drop"]
        assert sweep(is_reachable=True) == []
        assert lease_of(never_started).epoch == 2

    def test_retries_run_elsewhere(self) -> None:
        lost, other = Agent(), Agent(boot=False)
        job = factories.job(retries=1)
        lost.report(started(lease_of(job)))
        other.boot()
        self.silence(lost)
        sweep(is_reachable=True)
        assert (lease_of(job).host_id, lease_of(job).epoch) == (other.host.pk, 2)

    def test_nobody_is_lost_before_a_full_period_after_an_outage(self) -> None:
        agent = Agent()
        factories.job()
        now = timezone.now()
        self.silence(agent)
        assert sweep(is_reachable=False, now=now) == []  # hosts could not report
        for later_s in (5, 30, settings.HOST_LEASE_S - 1):
            FleetWatch.objects.update(swept_at=now + timedelta(seconds=later_s - 5))
            assert sweep(is_reachable=True, now=now + timedelta(seconds=later_s)) == []
        over = now + timedelta(seconds=settings.HOST_LEASE_S + 1)
        assert sweep(is_reachable=True, now=over) == [agent.host.name]

    def test_a_gap_between_sweeps_is_an_outage(self) -> None:
        agent = Agent()
        self.silence(agent)
        FleetWatch.objects.update(swept_at=timezone.now() - timedelta(seconds=120))
        assert sweep(is_reachable=True) == []
        assert sweep(is_reachable=True) == []

    def test_the_first_sweep_of_all_gives_nobody_up(self) -> None:
        FleetWatch.objects.all().delete()
        agent = Agent()
        self.silence(agent)
        assert sweep(is_reachable=True) == []

    def test_a_large_part_of_a_fleet_is_left_alone_and_said_loudly(self, caplog: Any) -> None:
        agents = [Agent() for _ in range(4)]
        job = factories.job()
        self.silence(*agents[:2])
        assert sweep(is_reachable=True) == []
        assert "fell silent together" in caplog.text
        assert fresh(job).status == "accepted"
        Host.objects.filter(pk=agents[1].host.pk).update(last_seen_at=timezone.now())
        assert sweep(is_reachable=True) == [agents[0].host.name]

    def test_a_host_that_was_heard_of_meanwhile_stays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        agent = Agent()
        self.silence(agent)
        from jobs.services import fleet

        silent = list(Host.objects.filter(pk=agent.host.pk))
        monkeypatch.setattr(fleet, "hosts_silent", lambda since: silent)
        Host.objects.filter(pk=agent.host.pk).update(last_seen_at=timezone.now())
        assert sweep(is_reachable=True) == []
        assert Host.objects.get(pk=agent.host.pk).is_online

    def test_a_revoked_host_loses_its_jobs_at_once(self) -> None:
        agent = Agent()
        job = factories.job()
        agent.report(started(lease_of(job)))
        host_revoke(agent.host.name)
        sweep(is_reachable=True)
        assert (fresh(job).status, fresh(job).reason) == ("error", "host_lost")
        assert not agent.host.leases.exclude(state=LeaseState.ENDED).exists()


def test_the_sweep_asks_the_web_tier(web: Any, settings: Any) -> None:
    assert tasks.is_reachable(web.url)
    assert not tasks.is_reachable("http://127.0.0.1:1")
    settings.INTERNAL_URL = web.url
    assert tasks.sweep_hosts() == []
    assert FleetWatch.objects.get().steady_since is not None


def test_old_output_goes_and_the_job_stays(settings: Any) -> None:
    agent = Agent()
    old, recent, running = factories.job(), factories.job(), factories.job()
    agent.run(old, b"gone\n")
    agent.run(recent, b"here\n")
    agent.report(started(lease_of(running)), log(lease_of(running), 0, b"on"))
    long_ago = timezone.now() - timedelta(days=settings.LOG_RETENTION_DAYS, minutes=1)
    Job.objects.filter(pk=old.pk).update(finished_at=long_ago)
    assert tasks.expire_logs() == 1
    assert logs_expire() == 0
    assert set(LogChunk.objects.values_list("job_id", flat=True)) == {recent.pk, running.pk}
    client = factories.client_of(old.owner)
    body = client.get(f"{factories.API}/mags-jobs/{old.pk}/logs").json()
    assert (body["logs"], body["expired"], body["next_offset"]) == ([], True, 5)
    assert body["end"]["exit_code"] == 0


def test_a_rolled_back_submit_holds_no_room() -> None:
    agent = Agent()
    with transaction.atomic():
        factories.job()
        transaction.set_rollback(True)
    assert Host.objects.get(pk=agent.host.pk).used_sandboxes == 0
