"""Every move between a sandbox's states, and who wins where two want one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import product

import pytest
from django.db import connection, transaction
from django.utils import timezone

from jobs.models import Job
from jobs.services import job_stop
from sandboxes import services
from sandboxes.errors import StaleSandbox
from sandboxes.models import Sandbox
from sandboxes.states import SANDBOX_TRANSITIONS, SandboxEnd, SandboxPhase
from tests.jobs import factories, held
from tests.jobs.factories import Agent
from tests.jobs.held import box, room, workspace_of
from workspaces.errors import WorkspaceInUse

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def test_every_state_has_its_moves() -> None:
    assert set(SANDBOX_TRANSITIONS) == set(SandboxPhase)


@pytest.mark.parametrize(("before", "after"), list(product(SandboxPhase, SandboxPhase)))
def test_each_pair_of_states(before: SandboxPhase, after: SandboxPhase) -> None:
    waits = before == SandboxPhase.WAITING
    host = None if waits else Agent().host
    job = held.job(factories.user())
    Sandbox.objects.filter(pk=box(job).pk).update(state=before, host=host, ended_at=timezone.now())
    sandbox = box(job)
    to = {"host": Agent(boot=False).host} if waits and after == SandboxPhase.OFFERED else {}
    is_allowed = after in SANDBOX_TRANSITIONS[before]
    assert services._move(sandbox, after, **to) is is_allowed
    assert box(job).state == (after if is_allowed else before)


def at_once(*calls: Callable[[], object]) -> list[object]:
    """What the calls answered, begun together; an exception is an answer."""
    gate, answers = threading.Barrier(len(calls)), []

    def run(call: Callable[[], object]) -> None:
        try:
            gate.wait()
            answers.append(call())
        except WorkspaceInUse as error:
            answers.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.parametrize("_", range(3))
def test_of_two_jobs_one_enters_an_idle_sandbox(_: int) -> None:
    agent, owner = Agent(), factories.user()
    first = held.idle(agent, owner)
    answers = at_once(lambda: held.job(owner), lambda: held.job(owner))
    [entered] = [answer for answer in answers if isinstance(answer, Job)]
    assert len([answer for answer in answers if isinstance(answer, WorkspaceInUse)]) == 1
    assert box(entered).pk == box(first).pk
    assert room(agent)[0] == 1


@pytest.mark.parametrize("_", range(3))
def test_of_two_jobs_one_waits_for_a_sandbox_that_saves(_: int) -> None:
    agent, owner = Agent(), factories.user()
    first = held.job(owner)
    held.start(agent, first)
    held.finish(agent, first)
    answers = at_once(lambda: held.job(owner), lambda: held.job(owner))
    assert sorted(type(answer).__name__ for answer in answers) == ["Job", "WorkspaceInUse"]


@pytest.mark.parametrize("_", range(3))
def test_a_submit_that_races_the_stop_runs_somewhere(_: int) -> None:
    agent, owner = Agent(), factories.user()
    first = held.idle(agent, owner)
    answers = at_once(lambda: held.job(owner), lambda: job_stop(first))
    second = next(answer for answer in answers if isinstance(answer, Job) and answer.pk != first.pk)
    ending = box(first)
    assert ending.is_stop_wished
    if held.live_leases(second):  # it was first, and was stopped with the sandbox
        held.finish(agent, second, outcome="stopped", exit_code=None)
        held.end(agent, ending, "stopped")
        assert held.fresh(second).reason == "stopped"
    else:
        held.end(agent, ending, "stopped")
        assert held.live_leases(second) == 1
        assert workspace_of(owner).holder == box(second).pk


@pytest.mark.parametrize("_", range(3))
def test_a_submit_that_races_the_end_gets_the_workspace(_: int) -> None:
    agent, owner = Agent(), factories.user()
    first = held.job(owner)
    sandbox = held.start(agent, first)
    held.finish(agent, first)
    answers = at_once(lambda: held.job(owner), lambda: held.end(agent, sandbox))
    [second] = [answer for answer in answers if isinstance(answer, Job)]
    assert held.live_leases(second) == 1
    assert workspace_of(owner).holder == box(second).pk
    assert room(agent)[0] == 1


def test_room_and_workspace_go_back_once() -> None:
    agent, owner = Agent(), factories.user()
    job = held.job(owner)
    held.finish(agent, job)
    one, two = box(job), box(job)
    with transaction.atomic():
        services.sandbox_end(one, SandboxEnd.DONE)
    with pytest.raises(StaleSandbox), transaction.atomic():
        services.sandbox_end(two, SandboxEnd.DONE)
    assert (room(agent), workspace_of(owner).holder) == ((0, 0), "")
