"""Every move between states: the allowed ones happen once, the others never."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from hosts.models import Host
from jobs.errors import StaleLease
from jobs.models import Job, JobEvent, Lease
from jobs.services import End, Outcome, job_stop, job_submit, lease_end, schedule_waiting
from jobs.services.spec import JobSpec
from jobs.services.transition import ImpossibleMove, transition
from jobs.states import (
    JOB_FINAL,
    JOB_TRANSITIONS,
    LEASE_TRANSITIONS,
    JobStatus,
    LeaseState,
)
from tests.jobs import factories
from tests.jobs.factories import Agent, finished, lease_of, log, started

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
END = {"finished_at": timezone.now(), "exit_code": 0}


def test_every_state_has_its_moves() -> None:
    assert set(JOB_TRANSITIONS) == set(JobStatus)
    assert set(LEASE_TRANSITIONS) == set(LeaseState)
    assert {JobStatus.COMPLETED, JobStatus.ERROR} == JOB_FINAL


@pytest.mark.parametrize(("before", "after"), list(product(JobStatus, JobStatus)))
def test_each_pair_of_states(before: JobStatus, after: JobStatus) -> None:
    job = factories.job()
    Job.objects.filter(pk=job.pk).update(status=before, **END)
    job.refresh_from_db()
    if after in JOB_TRANSITIONS[before]:
        assert transition(job, after, event="moved", **END)
        assert (job.status, Job.objects.get(pk=job.pk).status) == (after, after)
    else:
        with pytest.raises(ImpossibleMove):
            transition(job, after, event="moved", **END)
        assert Job.objects.get(pk=job.pk).status == before
    assert JobEvent.objects.filter(kind="moved").count() == (after in JOB_TRANSITIONS[before])


@pytest.mark.parametrize("change", [{"status": JobStatus.RUNNING}, {"attempt": 7}])
def test_a_move_from_what_was_true_before_is_refused(change: dict[str, Any]) -> None:
    job = factories.job()
    Job.objects.filter(pk=job.pk).update(**change)
    assert not transition(job, JobStatus.ERROR, event="moved", **END)
    assert not JobEvent.objects.filter(kind="moved").exists()
    assert Job.objects.get(pk=job.pk).revision == job.revision


def test_an_event_and_its_move_stand_or_fall_together() -> None:
    job = factories.job()
    with transaction.atomic():
        assert transition(job, JobStatus.ERROR, event="moved", **END)
        transaction.set_rollback(True)
    assert Job.objects.get(pk=job.pk).status == JobStatus.ACCEPTED
    assert not JobEvent.objects.filter(kind="moved").exists()


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What the calls answer (or raise) when they run at the same moment, each in its own thread."""
    barrier = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(index: int) -> None:
        connection.ensure_connection()
        barrier.wait()
        try:
            results[index] = calls[index]()
        except Exception as error:  # noqa: BLE001 - an answer like any other here
            results[index] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("_", range(3))
def test_of_many_threads_one_moves_the_job(_: int) -> None:
    job = factories.job()
    Job.objects.filter(pk=job.pk).update(status=JobStatus.RUNNING)

    def move() -> bool:
        mine = Job.objects.get(pk=job.pk)
        mine.status = JobStatus.RUNNING
        with transaction.atomic():
            return transition(mine, JobStatus.COMPLETED, event="moved", **END)

    results = at_once(*[move] * 8)
    assert sorted(results) == [False] * 7 + [True]
    assert JobEvent.objects.filter(job=job, kind="moved").count() == 1


@pytest.mark.parametrize("_", range(3))
def test_a_stop_that_races_the_end(_: int) -> None:
    agent = Agent()
    job = factories.job()
    lease = lease_of(job)
    agent.report(started(lease))
    stop = lambda: job_stop(Job.objects.get(pk=job.pk))  # noqa: E731
    end = lambda: agent.report(log(lease, 0, b"x"), finished(lease, 1))  # noqa: E731
    stopped, reported = at_once(stop, end)
    assert isinstance(stopped, Job), stopped
    assert reported == [{"status": 200}] * 2
    job.refresh_from_db()
    assert (job.status, job.reason, job.exit_code) == ("completed", "", 0)  # it did run to its end
    host = Host.objects.get(pk=agent.host.pk)
    assert (host.used_sandboxes, host.used_memory_mb) == (0, 0)


@pytest.mark.parametrize("_", range(3))
def test_two_submits_race_for_the_last_room(_: int) -> None:
    agent = Agent(sandboxes=1)
    owner = factories.user()
    submit = lambda: job_submit(owner, None, JobSpec(script="true"))  # noqa: E731
    results = at_once(submit, submit)
    assert all(isinstance(result, Job) for result in results), results
    assert Lease.objects.exclude(state=LeaseState.ENDED).count() == 1
    assert Host.objects.get(pk=agent.host.pk).used_sandboxes == 1
    [waiting] = Job.objects.filter(assigned_at__isnull=True)
    assert waiting.reason == "no_capacity"


@pytest.mark.parametrize("_", range(3))
def test_scheduling_passes_at_once_give_each_job_one_lease(_: int) -> None:
    owner = factories.user()
    jobs = [factories.job(owner) for _ in range(6)]
    agent = Agent(sandboxes=4, boot=False)
    Host.objects.filter(pk=agent.host.pk).update(
        is_online=True, capacity_sandboxes=4, capacity_memory_mb=2**20, capacity_vcpus=4, boot_epoch=1
    )
    results = at_once(*[schedule_waiting] * 4)
    assert sum(results) == 4, results
    assert Host.objects.get(pk=agent.host.pk).used_sandboxes == 4
    leased = set(Lease.objects.values_list("job_id", flat=True))
    assert leased == {job.pk for job in jobs[:4]}


@pytest.mark.parametrize("_", range(3))
def test_room_that_appears_while_a_job_is_submitted_is_found(_: int) -> None:
    agent = Agent(sandboxes=1)
    first = factories.job()
    owner = factories.user()
    at_once(lambda: job_submit(owner, None, JobSpec(script="true")), lambda: agent.run(first))
    [second] = Job.objects.filter(owner=owner)
    assert lease_of(second).host_id == agent.host.pk


def test_a_lease_ends_once_and_gives_its_room_back_once() -> None:
    agent = Agent()
    job = factories.job()
    factories.job()
    first, again = lease_of(job), lease_of(job)
    with transaction.atomic():
        lease_end(first, End(Outcome.EXITED, 0))
    with pytest.raises(StaleLease), transaction.atomic():
        lease_end(again, End(Outcome.EXITED, 0))
    assert Host.objects.get(pk=agent.host.pk).used_sandboxes == 1
