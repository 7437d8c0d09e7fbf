"""What becomes of kept sandboxes on a host that is to be taken out of service."""

from __future__ import annotations

import pytest

from hosts.models import Host
from hosts.services import host_drain
from jobs.services import sweep
from sandboxes.states import SandboxPhase
from tests.jobs import factories, held
from tests.jobs.factories import Agent
from tests.jobs.held import box, fresh
from tests.workspaces.factories import saved

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def drain(agent: Agent, *, is_own: bool = False) -> None:
    """By the operator, or by the agent's `own` wish."""
    if is_own:
        Host.objects.filter(pk=agent.host.pk).update(is_agent_draining=True)
    else:
        host_drain(agent.host.name, is_draining=True)
    sweep(is_reachable=True)


@pytest.mark.parametrize("is_own", [True, False])
def test_an_idle_sandbox_is_saved_and_the_next_job_runs_elsewhere(bucket: str, *, is_own: bool) -> None:
    near, owner = Agent(), factories.user()
    saved(owner)
    job = held.idle(near, owner)
    far = Agent()
    drain(near, is_own=is_own)
    assert box(job).state == SandboxPhase.ENDING
    assert box(job).is_stop_wished
    (wish,) = near.poll_all()["sandboxes"]
    assert (wish["sandbox_id"], wish["wish"]) == (box(job).pk, "end")
    following = held.job(owner, kept=True)
    assert fresh(following).reason == "saving"
    held.end(near, box(job), "stopped")
    assert box(following).host == far.host


def test_what_runs_is_left_alone() -> None:
    agent, owner = Agent(), factories.user()
    job = held.job(owner, kept=True)
    held.start(agent, job)
    drain(agent)
    assert box(job).state == SandboxPhase.RUNNING
    held.finish(agent, job)
    sweep(is_reachable=True)
    assert box(job).state == SandboxPhase.ENDING


@pytest.mark.parametrize("spec", [{"is_synced": False}, {"workspace": ""}])
def test_files_that_are_nowhere_else_stay_in_use(spec: dict[str, object]) -> None:
    agent, owner = Agent(), factories.user()
    job = held.idle(agent, owner, **spec)
    drain(agent)
    assert box(job).state == SandboxPhase.RUNNING


def test_other_hosts_keep_theirs() -> None:
    near, owner = Agent(), factories.user()
    job = held.idle(near, owner)
    drain(Agent())
    assert box(job).state == SandboxPhase.RUNNING
