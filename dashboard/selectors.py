"""What the pages read beyond what the API does. The actor comes first, as in `jobs.selectors`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Substr

from accounts.models import User
from jobs import logs
from jobs.models import Job, JobEvent, Lease
from jobs.selectors import job_events, job_list
from jobs.states import JOB_FINAL, SandboxState
from sandboxes.models import Sandbox
from sandboxes.states import SandboxPhase
from workspaces.models import Workspace
from workspaces.selectors import workspace_list

HEAD_CHARS = 2000  # of a script, to take its preview from
RAW_PAGE_LINES = 20_000
RAW_PAGE_BYTES = 1024 * 1024


def jobs_with_heads(actor: User, *, status: str = "", text: str = "", workspace: str = "") -> QuerySet[Job]:
    """`job_list`, each job with the beginning of its script as `job.head`."""
    found = job_list(actor, status=status, text=text, workspace=workspace)
    return found.annotate(head=Substr("script", 1, HEAD_CHARS))


def jobs_unfinished(actor: User) -> QuerySet[Job]:
    """What waits or runs, as `jobs_with_heads`."""
    return jobs_with_heads(actor).exclude(status__in=JOB_FINAL)


def jobs_running(actor: User, references: Iterable[str]) -> list[Job]:
    """Those of these ids that are the actor's and not over."""
    ids = [reference for reference in references if _is_uuid(reference)]
    return list(job_list(actor).filter(pk__in=ids).exclude(status__in=JOB_FINAL))


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def has_jobs(actor: User) -> bool:
    return job_list(actor).exists()


def current_lease(job: Job) -> Lease | None:
    """The lease of the present attempt, as `jobs.selectors` loaded it."""
    return getattr(job, "current", None)  # Django leaves it out where there is none


def jobs_alive(actor: User, text: str) -> QuerySet[Job]:
    """The jobs that have a sandbox, also one that sleeps or comes up, one for each; the newest first."""
    live = Q(in_sandbox__isnull=False) & ~Q(in_sandbox__state=SandboxPhase.ENDED)
    alive = job_list(actor).filter(~Q(sandbox=SandboxState.NONE) | live)
    newer = Job.objects.filter(
        Q(in_sandbox=OuterRef("in_sandbox")) | Q(workspace=OuterRef("workspace"), is_persistent=True),
        created_at__gt=OuterRef("created_at"),
    ).exclude(Q(sandbox=SandboxState.NONE) & ~live)
    one_each = alive.filter(~Exists(newer))
    return one_each.filter(Q(name__icontains=text) | Q(workspace_name__icontains=text)) if text else one_each


def with_sandboxes(jobs: Iterable[Job]) -> list[tuple[Job, Sandbox | None]]:
    """Each with the live sandbox that serves it."""
    listed = list(jobs)
    workspaces = [job.workspace_id for job in listed if job.workspace_id]
    named = [job.in_sandbox_id for job in listed if job.in_sandbox_id]
    found = Sandbox.objects.exclude(state=SandboxPhase.ENDED).select_related("host")
    live = list(found.filter(Q(workspace__in=workspaces) | Q(pk__in=named)))
    by_place = {sandbox.workspace_id or sandbox.pk: sandbox for sandbox in live}
    return [(job, by_place.get(job.workspace_id or job.in_sandbox_id or "")) for job in listed]


def newest_events(job: Job, limit: int) -> list[JobEvent]:
    """Of its history, the newest first."""
    return list(job_events(job).order_by("-pk")[:limit])


def workspaces_named(actor: User, text: str) -> QuerySet[Workspace]:
    """The actor's workspaces with `text` in their names, newest first."""
    found = workspace_list(actor)
    return found.filter(name__icontains=text) if text else found


def workspace_names(actor: User, limit: int) -> list[str]:
    return sorted(workspace_list(actor).values_list("name", flat=True)[:limit])


def has_workspaces(actor: User) -> bool:
    return workspace_list(actor).exists()


async def raw_output(job: Job) -> AsyncIterator[bytes]:
    """The job's output so far, byte for byte, a megabyte at a time."""
    offset = 0
    while offset < job.log_bytes:
        page = await sync_to_async(logs.page)(job, offset, limit=RAW_PAGE_LINES, limit_bytes=RAW_PAGE_BYTES)
        if page.next_offset == offset:
            return  # retention removed the rest meanwhile
        yield b"".join(logs.entry_bytes(entry) for entry in page.entries)
        offset = page.next_offset
