"""Jobs, sandboxes and leases as they would be after days, without living through them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

from accounts.models import ApiToken, User
from accounts.services import token_create
from hosts.models import Host
from jobs.models import Job, Lease
from sandboxes.models import Sandbox
from usage.models import SleepSpan
from workspaces.models import Workspace

_count = itertools.count(1)
MONTH = (2026, 11)


def at(text: str) -> datetime:
    """`22 23:59:50.5` in November 2026, UTC."""
    day, time = text.split()
    return datetime.fromisoformat(f"{MONTH[0]}-{MONTH[1]:02d}-{int(day):02d}T{time}+00:00").astimezone(UTC)


class Load:
    """What one account did."""

    def __init__(self, owner: User) -> None:
        self.owner = owner
        self.host = Host.objects.create(name=f"usage{next(_count)}", key_digest=f"{next(_count):064d}")

    def token(self, name: str = "laptop") -> ApiToken:
        return token_create(self.owner, name)[0]

    def workspace(self, name: str) -> Workspace:
        return Workspace.objects.create(owner=self.owner, name=name, disk_gb=2)

    def job(self, submitted: str, *, token: ApiToken | None = None, **fields: Any) -> Job:
        created_at = at(submitted)
        if (workspace := fields.get("workspace")) is not None:
            fields["workspace_name"] = workspace.name
        return Job.objects.create(
            owner=self.owner, token=token, script="true", created_at=created_at, changed_at=created_at,
            **fields,
        )  # fmt: skip

    def lease(
        self, job: Job, started: str | None, ended: str | None, *, sandbox: Sandbox | None = None
    ) -> Lease:
        """An attempt; it began when it was offered."""
        epoch = Lease.objects.filter(job=job).count() + 1
        return Lease.objects.create(
            job=job, host=self.host, epoch=epoch, sandbox_id=f"{next(_count):016d}", in_sandbox=sandbox,
            state="ended" if ended else "started", revision=1, memory_mb=1024, created_at=job.created_at,
            started_at=at(started) if started else None, ended_at=at(ended) if ended else None,
        )  # fmt: skip

    def sandbox(
        self, workspace: Workspace | None, up: str | None, ended: str | None, created: str = ""
    ) -> Sandbox:
        return Sandbox.objects.create(
            pk=f"{next(_count):016d}", owner=self.owner, host=self.host, workspace=workspace,
            state="ended" if ended else "running", memory_mb=1024, vcpus=2, disk_gb=2,
            created_at=at(created or up or "1 00:00:00"), up_at=at(up) if up else None,
            ended_at=at(ended) if ended else None,
        )  # fmt: skip

    def slept(self, sandbox: Sandbox, began: str, ended: str | None) -> SleepSpan:
        return SleepSpan.objects.create(
            sandbox=sandbox, began_at=at(began), ended_at=at(ended) if ended else None
        )
