"""Whoever comes first: one sandbox, one state, no room lost, nobody forgotten. Run on PostgreSQL too."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from accounts.models import User
from core.errors import MagsError
from hosts.models import Host
from jobs.models import Job
from jobs.services import job_stop, raising, sandbox_wake, sweep
from jobs.states import WakeCause
from sandboxes.models import Sandbox
from sandboxes.services import sandbox_lock, sandbox_offer
from tests.jobs import factories, held
from tests.jobs.factories import Agent, kinds, sandbox_asleep, sandbox_ended
from tests.jobs.held import box, fresh, room, workspace_of
from tests.workspaces.factories import saved
from workspaces.services import workspace_delete

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis", "bucket")]
ROUNDS = int(os.environ.get("TEST_RACES", "2"))  # of each race: which side wins differs


def race(*calls: Callable[[], object]) -> list[object]:
    """All at once. The answers, or the errors that the API would have told."""
    barrier, answers = threading.Barrier(len(calls)), [object()] * len(calls)

    def run(index: int) -> None:
        barrier.wait()
        try:
            answers[index] = calls[index]()
        except MagsError as error:
            answers[index] = error
        finally:
            connections.close_all()  # of this thread

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.fixture
def agent() -> Agent:
    return Agent()


def idle(agent: Agent, owner: User, name: str, **spec: Any) -> Job:
    saved(owner, name)
    return held.idle(agent, owner, name, **spec)


def live(owner: User) -> list[Sandbox]:
    return list(Sandbox.objects.filter(owner=owner).exclude(state="ended"))


def ended(agent: Agent, sandbox: Sandbox, reason: str) -> Callable[[], object]:
    return lambda: agent.report(sandbox_ended(sandbox, reason))


def wake(job: Job, cause: str) -> Callable[[], object]:
    return lambda: sandbox_wake(fresh(job), cause)


def agrees(agent: Agent, owner: User, name: str) -> bool:
    """Room, hold and sandboxes say the same."""
    sandboxes = live(owner)
    holder = workspace_of(owner, name).holder
    placed = [sandbox for sandbox in sandboxes if sandbox.host_id]
    return room(agent)[0] == len(placed) and {holder} - {""} == {sandbox.pk for sandbox in sandboxes}


@pytest.mark.parametrize("round_", range(2))
def test_eight_visitors_are_one_wake(agent: Agent, owner: User, round_: int) -> None:
    job = idle(agent, owner, f"w{round_}")
    held.end(agent, box(job), "idle")
    assert set(race(*[wake(job, "url")] * 8)) == {"starting"}
    assert (len(live(owner)), kinds(job).count("waking")) == (1, 1)
    assert (agrees(agent, owner, f"w{round_}"), box(job).state) == (True, "offered")


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_visitor_while_it_is_stopped_for_idleness(agent: Agent, owner: User, round_: int) -> None:
    """Running, its end noted, or gone: whatever the visitor met, there is a sandbox for them."""
    job = idle(agent, owner, f"w{round_}")
    former = box(job)
    agent.report(sandbox_asleep(former))
    race(wake(job, "url"), ended(agent, former, "idle"))
    if sandbox_wake(fresh(job), "url") == "starting":  # as the gateway does where its host refuses
        agent.report(factories.sandbox_running(box(job)))
    assert ([x.pk for x in live(owner)], box(job).state) == ([box(job).pk], "running")
    assert agrees(agent, owner, f"w{round_}")


def test_a_sandbox_that_gets_its_host_while_it_is_locked_is_found(agent: Agent, owner: User) -> None:
    job = idle(agent, owner, "w")
    held.end(agent, box(job), "idle")
    sandbox = raising.sandbox_raise(fresh(job), WakeCause.URL)
    found: list[Sandbox | None] = []

    def lock() -> None:
        with transaction.atomic():
            found.append(sandbox_lock(sandbox.pk))
        connections.close_all()  # of this thread

    locking = threading.Thread(target=lock)
    with transaction.atomic():
        assert sandbox_offer(sandbox, agent.host)
        locking.start()
        locking.join(timeout=0.3)  # it has read, and waits for the row
    locking.join()
    assert [x and x.host_id for x in found] == [agent.host.pk]


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_stop_while_it_is_recovered(agent: Agent, owner: User, round_: int) -> None:
    job = idle(agent, owner, f"w{round_}", no_sleep=True)
    for _ in range(2):
        held.end(agent, box(job), "oom")
    later = timezone.now() + timedelta(minutes=1)
    answers = race(lambda: job_stop(fresh(job)), lambda: sweep(is_reachable=True, now=later))
    assert isinstance(answers[0], Job), answers
    for sandbox in live(owner):
        assert (sandbox.is_put_away, sandbox.is_stop_wished) == (True, True)
        held.end(agent, sandbox, "stopped")
    sweep(is_reachable=True, now=later)
    assert (live(owner), fresh(job).sandbox, fresh(job).recover_at) == ([], "none", None)
    assert agrees(agent, owner, f"w{round_}")


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_stop_and_a_visitor(agent: Agent, owner: User, round_: int) -> None:
    """The stop stays: a visitor that came before it is refused in the end."""
    job = idle(agent, owner, f"w{round_}")
    held.end(agent, box(job), "idle")
    race(lambda: job_stop(fresh(job)), wake(job, "url"))
    for sandbox in live(owner):
        assert sandbox.is_put_away
        held.end(agent, sandbox, "stopped")
    assert (live(owner), fresh(job).sandbox) == ([], "none")
    assert agrees(agent, owner, f"w{round_}")


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_run_and_a_wake(agent: Agent, owner: User, round_: int) -> None:
    """The run has the sandbox that was woken, or its own, which the visitor reaches."""
    name = f"w{round_}"
    job = idle(agent, owner, name)
    held.end(agent, box(job), "idle")
    answers = race(lambda: held.job(owner, name, kept=True), wake(job, "url"))
    runs = [answer for answer in answers if isinstance(answer, Job)]
    assert len(live(owner)) == 1
    for run in runs:  # else it met the wake half way: 409, to be tried again
        agent.report(factories.sandbox_running(box(run)))
        agent.run(run)
        assert (box(run).pk, fresh(run).status) == (live(owner)[0].pk, "completed")
    assert agrees(agent, owner, name)


@pytest.mark.parametrize("round_", range(2))
def test_a_delete_and_a_wake(agent: Agent, owner: User, round_: int) -> None:
    name = f"w{round_}"
    job = idle(agent, owner, name)
    held.end(agent, box(job), "idle")
    workspace = workspace_of(owner, name)
    race(lambda: workspace_delete(workspace), wake(job, "exec"))
    workspace.refresh_from_db()
    is_deleted = workspace.deleted_at is not None
    assert len(live(owner)) == (0 if is_deleted else 1)
    assert Host.objects.get(pk=agent.host.pk).used_sandboxes == len(live(owner))
