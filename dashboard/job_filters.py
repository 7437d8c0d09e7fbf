"""What the list of jobs can be narrowed to. What is no choice counts as none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import User
from dashboard.pages import searched
from dashboard.selectors import jobs_with_heads
from jobs.models import Job
from jobs.states import JobStatus

STATUSES: Mapping[str, str] = {
    "": "All",
    JobStatus.ACCEPTED: "Waiting",
    JobStatus.RUNNING: "Running",
    JobStatus.COMPLETED: "Completed",
    JobStatus.ERROR: "Errors",
}
EXITS: Mapping[str, str] = {"": "Any exit", "zero": "Exit 0", "other": "Exit not 0", "none": "No exit code"}
TIMES: Mapping[str, str] = {
    "": "Any time",
    "1h": "Last hour",
    "24h": "Last 24 hours",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
}
_AGES = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
_EXIT_CONDITIONS = {
    "zero": Q(exit_code=0),
    "other": Q(exit_code__isnull=False) & ~Q(exit_code=0),
    "none": Q(exit_code__isnull=True),
}


@dataclass(frozen=True, slots=True)
class JobFilter:
    """One look at the list."""

    status: str
    exit: str
    since: str
    workspace: str
    text: str

    @classmethod
    def of(cls, request: HttpRequest) -> JobFilter:
        def choice(name: str, choices: Mapping[str, str]) -> str:
            wanted = request.GET.get(name, "")
            return wanted if wanted in choices else ""

        return cls(
            status=choice("status", STATUSES),
            exit=choice("exit", EXITS),
            since=choice("since", TIMES),
            workspace=request.GET.get("workspace", "").replace("\0", ""),
            text=searched(request),
        )

    @property
    def is_set(self) -> bool:
        return any((self.status, self.exit, self.since, self.workspace, self.text))

    def jobs(self, actor: User) -> QuerySet[Job]:
        """The actor's jobs that pass it, newest first."""
        found = jobs_with_heads(actor, status=self.status, workspace=self.workspace)
        if self.exit:
            found = found.filter(_EXIT_CONDITIONS[self.exit])
        if self.since:
            found = found.filter(created_at__gte=timezone.now() - _AGES[self.since])
        if self.text:
            said = Q(name__icontains=self.text) | Q(script__icontains=self.text)
            found = found.filter(said | Q(pk__startswith=self.text))
        return found
