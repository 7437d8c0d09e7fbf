"""Persistent jobs that wait on a workspace, or take it over from another one."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from jobs.services import job_stop, sandbox_wake, sweep
from sandboxes.models import Sandbox
from tests.jobs import held
from tests.jobs.factories import Agent, sandbox_ending
from tests.jobs.held import box, fresh
from tests.jobs.test_waking import asleep, up
from tests.workspaces.factories import saved

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis", "bucket")]


def test_a_stop_before_its_start_is_also_its_sandboxs(owner: User) -> None:
    """Else the next visitor, or recovery, starts what somebody has just stopped."""
    agent = Agent()
    saved(owner)
    former = held.idle(agent, owner)
    agent.report(sandbox_ending(box(former)))
    job = held.job(owner, kept=True, no_sleep=True)
    assert fresh(job).status == "accepted"
    job_stop(fresh(job))
    held.end(agent, box(former), "idle")
    sweep(is_reachable=True)
    assert (fresh(job).status, fresh(job).sandbox) == ("completed", "none")
    assert not Sandbox.objects.exclude(state="ended").exists()


def test_a_stop_while_it_waits_for_what_is_woken(owner: User) -> None:
    agent = Agent()
    former = asleep(agent, owner)
    sandbox_wake(former, "wish")
    job = held.job(owner, kept=True)
    job_stop(fresh(job))
    assert not Sandbox.objects.exclude(state="ended").filter(is_stop_wished=False).exists()


def test_a_run_that_is_stopped_leaves_what_is_woken(owner: User) -> None:
    agent = Agent()
    former = asleep(agent, owner)
    sandbox_wake(former, "wish")
    job_stop(held.job(owner))
    up(agent, former)
    assert fresh(former).sandbox == "running"


@pytest.mark.parametrize("no_sleep", [False, True])
def test_one_sandbox_is_shown_by_the_job_that_has_it(owner: User, client: Client, no_sleep: bool) -> None:
    agent = Agent()
    first = asleep(agent, owner)
    later = held.idle(agent, owner, no_sleep=no_sleep)
    assert (fresh(first).sandbox, fresh(later).sandbox) == ("none", "running")
    job_stop(fresh(later))
    held.end(agent, box(later), "stopped")
    sweep(is_reachable=True, now=timezone.now())
    assert (fresh(first).sandbox, fresh(later).sandbox) == ("none", "none")
