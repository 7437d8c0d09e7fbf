"""Every read of jobs for people. The actor comes first and sees nobody else's."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, FilteredRelation, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from accounts.models import User
from core.prepared import Param, Prepared, part_of
from hosts.models import Host
from hosts.selectors import hosts_taking_work
from jobs.errors import JobNotFound, NothingToSave, SyncLost
from jobs.models import Job, JobEvent, Lease
from jobs.standing import standing_job
from jobs.states import JobStatus, SandboxState
from sandboxes.models import Sandbox
from sandboxes.states import SandboxEnd, SandboxPhase
from ssh.models import Door
from workspaces.models import Version

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
ALIVE = Q(status__in=[JobStatus.RUNNING, JobStatus.SLEEPING]) | ~Q(sandbox=SandboxState.NONE)


def job_get(actor: User, reference: str) -> Job:
    """The actor's job of this id, name or workspace's name. Of several: one that is alive before one that
    is not, by its own name before by its workspace's, then the newest. Raises JobNotFound alike for what
    is missing and for what is somebody else's."""
    jobs = _jobs(actor)
    job = None
    if (job_id := _uuid(reference)) is not None:
        job = _job_by_id(actor, job_id)
    if job is None and NAME.fullmatch(reference):
        named, used = jobs.filter(name=reference), jobs.filter(workspace_name=reference)
        found = (rows.order_by("-created_at").first() for rows in _in_order(named, used))
        job = next((row for row in found if row is not None), None)
    if job is None:
        raise JobNotFound
    return job


def standing_get(actor: User, reference: str) -> Job:
    """As `job_get`, but a name means the job that says what the sandbox behind it is to be like, though
    others have run in that since."""
    job = job_get(actor, reference)
    standing = None if _uuid(reference) == job.pk or job.is_persistent else standing_job(job.workspace_id)
    return job_get(actor, str(standing.pk)) if standing else job


def _in_order(named: QuerySet[Job], used: QuerySet[Job]) -> Iterator[QuerySet[Job]]:
    yield named.filter(ALIVE)
    yield used.filter(ALIVE)
    yield named
    yield used


def job_list(actor: User, *, status: str = "", text: str = "", workspace: str = "") -> QuerySet[Job]:
    """The actor's jobs, newest first; `text` is part of a name or the beginning of an id."""
    jobs = _jobs(actor).order_by("-created_at", "-pk")
    if status:
        jobs = jobs.filter(status=status)
    if workspace:
        jobs = jobs.filter(workspace_name=workspace)
    if text:
        jobs = jobs.filter(Q(name__icontains=text) | Q(pk__startswith=text))
    return jobs


def jobs_changed(actor: User, since: datetime) -> QuerySet[Job]:
    """The actor's jobs that changed at or after `since`, in the order of their last change."""
    return _jobs(actor).filter(changed_at__gte=since).order_by("changed_at", "pk")


def job_events(job: Job) -> QuerySet[JobEvent]:
    """What happened to the job, in order."""
    return JobEvent.objects.filter(job_id=job.pk).order_by("pk")


def active_jobs(workspaces: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Of these workspaces, those that a sandbox holds: with the job that is in it, or was last."""
    live = ~Q(in_sandbox__state=SandboxPhase.ENDED)
    jobs = Job.objects.filter(live, in_sandbox__workspace__in=workspaces).order_by("created_at")
    rows = jobs.values_list("in_sandbox__workspace", "pk")
    return {workspace: str(job) for workspace, job in rows}  # of several, the newest comes last


def receipt_of(job: Job, sandbox_id: str | None, wish: int) -> Version | None:
    """The newest durable version of the job's workspace, once its sandbox has answered `wish` (0: it had
    ended before that); None until then. Raises SyncLost where the sandbox will not answer and may have taken
    unsaved files with it, NothingToSave where nothing was ever saved."""
    unanswered = Q(sync_done__lt=wish) if wish else Q(state=SandboxPhase.ENDED)
    asked = Sandbox.objects.filter(unanswered, pk=sandbox_id).first()
    if asked is not None:
        if asked.state != SandboxPhase.ENDED:
            return None
        if asked.reason == SandboxEnd.LOST or (wish and not asked.is_synced):
            raise SyncLost
    durable = Version.objects.filter(Q(workspace_id=job.workspace_id), durable_at__isnull=False)
    version = durable.order_by("-number").first()
    if version is None:
        raise NothingToSave("The job's sandbox ended and nothing of its workspace was saved.")
    return version


@dataclass(frozen=True, slots=True)
class Pool:
    """The room of all hosts that take work."""

    total: int
    busy: int


def pool() -> Pool:
    sums = hosts_taking_work().aggregate(total=Sum("capacity_sandboxes"), busy=Sum("used_sandboxes"))
    return Pool(sums["total"] or 0, sums["busy"] or 0)


def _jobs(actor: User) -> QuerySet[Job]:
    """Jobs with what their wire form needs: `job.current` is the lease of the present attempt, with
    its host, or None; and the sandbox. Scripts are large and not part of it."""
    mine = Job.objects.filter(owner=actor)
    if actor.only_workspace:
        mine = mine.filter(workspace_name=actor.only_workspace)
    jobs = mine.annotate(current=_current(), ssh_port=_ssh_port())
    jobs = jobs.select_related("current__host", "in_sandbox__host")  # type: ignore[misc]  # the plugin overlooks annotations
    return jobs.defer("script", "environment")


def _current() -> FilteredRelation:
    return FilteredRelation("leases", condition=Q(leases__epoch=F("attempt")))


def _ssh_port() -> Coalesce:
    """Of the job's workspace; of its sandbox where it has none."""
    doors = Door.objects.filter(released_at__isnull=True).values("port")
    of_workspace = doors.filter(workspace_id=OuterRef("workspace_id"))
    of_sandbox = doors.filter(sandbox_id=OuterRef("in_sandbox_id"))
    return Coalesce(Subquery(of_workspace[:1]), Subquery(of_sandbox[:1]))


_JOB_BY_ID = Prepared(
    lambda: (
        Job.objects.filter(owner=Param("owner"), pk=Param("job_id", Job._meta.pk))
        .annotate(current=_current(), ssh_port=_ssh_port())
        .annotate(
            lease_id=F("current__pk"),
            sandbox_id=F("current__sandbox_id"),
            host_id=F("current__host"),
            host_name=F("current__host__name"),
            host_isolation=F("current__host__isolation"),
            box_state=F("in_sandbox__state"),
            box_host_id=F("in_sandbox__host"),
            box_host_name=F("in_sandbox__host__name"),
            box_host_isolation=F("in_sandbox__host__isolation"),
        )
        .defer("script", "environment")
    )
)


def _job_by_id(actor: User, job_id: uuid.UUID) -> Job | None:
    """As `_jobs(actor).filter(pk=job_id).first()`, at a quarter of the cost: every wait reads it."""
    job = _JOB_BY_ID.first(owner=actor.pk, job_id=job_id)
    if job is None or actor.only_workspace not in {"", job.workspace_name}:
        return None
    row = vars(job)
    if row["lease_id"] is not None:
        host = part_of(Host, id=row["host_id"], name=row["host_name"], isolation=row["host_isolation"])
        current = part_of(Lease, id=row["lease_id"], sandbox_id=row["sandbox_id"])
        current.host = host
        row["current"] = current
    if job.in_sandbox_id is not None:
        job.in_sandbox = part_of(Sandbox, id=job.in_sandbox_id, state=row["box_state"])
        if row["box_host_id"] is not None:
            job.in_sandbox.host = part_of(
                Host, id=row["box_host_id"], name=row["box_host_name"], isolation=row["box_host_isolation"]
            )
        else:
            job.in_sandbox.host = None
    return job


def _uuid(text: str) -> uuid.UUID | None:
    """The id that `text` is, in the canonical form that we give out."""
    try:
        found = uuid.UUID(text)
    except ValueError:
        return None
    return found if str(found) == text.lower() else None
