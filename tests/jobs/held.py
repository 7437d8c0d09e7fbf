"""Jobs in held sandboxes, and a host that plays its part in their lives."""

from __future__ import annotations

from typing import Any

from accounts.models import User
from hosts.models import Host
from jobs.models import Job, Lease
from sandboxes.models import Sandbox
from tests.jobs import factories
from tests.jobs.factories import Agent, lease_of, sandbox_ended, sandbox_running
from workspaces.models import Workspace


def fresh(job: Job) -> Job:
    return Job.objects.select_related("in_sandbox", "workspace").get(pk=job.pk)


def box(job: Job) -> Sandbox:
    """The job's sandbox as it is now."""
    found = fresh(job).in_sandbox
    assert found is not None
    return found


def job(owner: User, workspace: str = "w", *, kept: bool = False, **spec: Any) -> Job:
    return factories.job(owner, workspace=workspace, is_persistent=kept, **spec)


def start(agent: Agent, job: Job) -> Sandbox:
    """The sandbox is up, and the job's script runs in it."""
    sandbox = box(job)
    assert agent.report(sandbox_running(sandbox), factories.started(lease_of(job))) == [{"status": 200}] * 2
    return box(job)


def finish(agent: Agent, job: Job, **end: Any) -> None:
    lease = lease_of(job)
    assert agent.report(factories.finished(lease, lease.log_offset, **end)) == [{"status": 200}]


def idle(agent: Agent, owner: User, workspace: str = "w", **spec: Any) -> Job:
    """A finished job whose kept sandbox lives."""
    made = job(owner, workspace, kept=True, **spec)
    start(agent, made)
    finish(agent, made)
    return fresh(made)


def end(agent: Agent, sandbox: Sandbox, reason: str = "done", **fields: Any) -> None:
    assert agent.report(sandbox_ended(sandbox, reason, **fields)) == [{"status": 200}]


def room(agent: Agent) -> tuple[int, int]:
    host = Host.objects.get(pk=agent.host.pk)
    return host.used_sandboxes, host.used_memory_mb


def workspace_of(owner: User, name: str = "w") -> Workspace:
    return Workspace.objects.get(owner=owner, name=name, deleted_at__isnull=True)


def live_leases(job: Job) -> int:
    return Lease.objects.filter(job=job).exclude(state="ended").count()
