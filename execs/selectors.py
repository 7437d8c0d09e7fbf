"""Every read of execs. The actor comes first and sees nobody else's."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import timedelta

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts.models import User
from execs.errors import ExecNotFound
from execs.models import Exec
from execs.states import ExecState, Origin
from jobs.models import Job
from sandboxes.states import SandboxPhase

STARTS_WITHIN = timedelta(seconds=60)  # an exec as old as this is not asked to be started any more, and ...
CALLERS_GO_ON = timedelta(seconds=120)  # ... now all who asked have their answers
OPEN = ~Q(state=ExecState.ENDED)


def exec_id(text: str) -> uuid.UUID:
    """Raises ExecNotFound for what no id looks like."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise ExecNotFound from None


def exec_get(actor: User, job: Job, reference: str) -> Exec:
    """Raises ExecNotFound alike for what is missing and for what is somebody else's."""
    found = exec_list(actor, job).filter(pk=exec_id(reference)).first()
    if found is None:
        raise ExecNotFound
    return found


def exec_find(actor: User, job: Job, known: uuid.UUID) -> Exec | None:
    return exec_list(actor, job).filter(pk=known).first()


def exec_list(actor: User, job: Job) -> QuerySet[Exec]:
    """Those of the job and of the others on its workspace, newest first: they share their sandboxes."""
    same = Q(job=job) | Q(job__workspace=job.workspace_id) if job.workspace_id else Q(job=job)
    found = Exec.objects.filter(same, owner=actor).select_related("sandbox__host", "token")
    return found.order_by("-created_at", "-pk")


def unsettled(limit: int) -> list[Exec]:
    """Those whose end may have happened without anybody to hear of it, the longest not asked about first."""
    since = timezone.now() - CALLERS_GO_ON
    found = Exec.objects.filter(OPEN, created_at__lt=since).select_related("sandbox__host")
    return list(found.order_by(F("asked_at").asc(nulls_first=True))[:limit])


def may_be_started(row: Exec) -> bool:
    """Whether its host may yet be asked to start it."""
    return row.state == ExecState.STARTING and row.created_at > timezone.now() - STARTS_WITHIN


def is_reachable(row: Exec) -> bool:
    """Whether a host can be asked for it."""
    return row.sandbox is not None and row.sandbox.state == SandboxPhase.RUNNING


def is_worth_asking(execs: Iterable[Exec]) -> list[Exec]:
    """Of these, the ones whose host may know more than we do. A start-up command is reported by itself."""
    return [row for row in execs if row.state != ExecState.ENDED and _knows_more(row)]


def _knows_more(row: Exec) -> bool:
    is_asleep = row.sandbox is not None and row.sandbox.asleep_since is not None
    return row.origin != Origin.STARTUP and is_reachable(row) and not is_asleep  # to ask would thaw it
