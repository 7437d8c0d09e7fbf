"""The life of an exec's row. Each move is one guarded UPDATE, so an end is written once and never changes."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import ApiToken, User
from execs.errors import ExecElsewhere
from execs.models import Exec
from execs.states import ENDS, TIMED_OUT_EXIT_CODE, WITHOUT_EXIT_CODE, ExecEnd, ExecState, Origin
from execwire.frames import Ended, Open, Size
from jobs.models import Job
from sandboxes.models import Sandbox

EXPIRE_LIMIT = 10_000  # rows of one run, so that it stays short
HOSTS_REMEMBER = timedelta(hours=24)  # an id, after its end
NEVER = "The host has not been asked to start it: the server was interrupted."
FORGOTTEN = "The host knows nothing of it any more."
MESSAGE_LIMIT = 500
SHELL = 'exec "$(command -v bash || command -v sh)" -l'  # where no command is given


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be executed. An empty text means a login shell."""

    text: str
    origin: Origin
    environment: dict[str, str] = field(default_factory=dict)
    terminal: Size | None = None
    has_stdin: bool = False
    timeout_s: int | None = None

    def opening(self, known: uuid.UUID, stdout: int = 0, stderr: int = 0) -> Open:
        """What its host is told."""
        return Open(
            exec_id=known.hex,
            stdout=stdout,
            stderr=stderr,
            command=(self.text or SHELL).encode(),
            environment=self.environment,
            terminal=self.terminal,
            has_stdin=self.has_stdin,
            timeout_ms=None if self.timeout_s is None else self.timeout_s * 1000,
        )


def exec_create(
    actor: User, token: ApiToken | None, job: Job, sandbox: Sandbox, command: Command, known: uuid.UUID
) -> Exec:
    """The row, before the host is asked. Raises ExecElsewhere where the id is another exec's already."""
    row = Exec(
        id=known,
        owner=actor,
        token=token,
        job=job,
        sandbox=sandbox,
        origin=command.origin,
        command=command.text,
        is_terminal=command.terminal is not None,
        timeout_s=command.timeout_s,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        raise ExecElsewhere from error
    return row


def exec_started(known: uuid.UUID, at: datetime) -> bool:
    """The host said that it was started. False where more is known already."""
    starting = Exec.objects.filter(pk=known, state=ExecState.STARTING)
    return bool(starting.update(state=ExecState.RUNNING, started_at=at))


def exec_ended(known: uuid.UUID, end: Ended, started_at: datetime | None = None) -> bool:
    """What the host says of its end. False where that was written before."""
    reason = ENDS[end.outcome]
    exit_code = TIMED_OUT_EXIT_CODE if reason is ExecEnd.TIMED_OUT else end.exit_code
    if reason in WITHOUT_EXIT_CODE:
        exit_code = None
    # A host's clock is not trusted beyond ours. We hear of the start when the command may be over already.
    ended_at = datetime.fromtimestamp(min(end.at_ms / 1000, timezone.now().timestamp()), UTC)
    fields: dict[str, Any] = {} if started_at is None else {"started_at": min(started_at, ended_at)}
    return exec_end(
        known,
        reason,
        ended_at,
        exit_code=exit_code,
        stdout_bytes=end.stdout,
        stderr_bytes=end.stderr,
        **fields,
    )


def exec_not_started(known: uuid.UUID, why: str) -> bool:
    return exec_end(known, ExecEnd.NOT_STARTED, timezone.now(), message=_clean(why))


def exec_unknown(known: uuid.UUID) -> bool:
    """Its host does not know it: it was never asked to start it, or has forgotten it since."""
    since = timezone.now() - HOSTS_REMEMBER
    fresh = Exec.objects.filter(pk=known, state=ExecState.STARTING, created_at__gt=since)
    return exec_not_started(known, NEVER) if fresh.exists() else exec_lost(known, FORGOTTEN)


def exec_forget(known: uuid.UUID) -> None:
    """The host was certainly not asked, and whoever asked us may ask again."""
    Exec.objects.filter(pk=known, state=ExecState.STARTING).delete()


def exec_lost(known: uuid.UUID, why: str) -> bool:
    return exec_end(known, ExecEnd.LOST, timezone.now(), message=_clean(why))


def _clean(why: str) -> str:
    """PostgreSQL takes no NUL."""
    return why.replace("\0", "")[:MESSAGE_LIMIT]


def exec_end(known: uuid.UUID, reason: ExecEnd, at: datetime, **fields: Any) -> bool:
    """Its one end. False where that was written before."""
    live = Exec.objects.filter(pk=known).exclude(state=ExecState.ENDED)
    return bool(live.update(state=ExecState.ENDED, reason=reason, ended_at=at, **fields))


def exec_expire() -> int:
    """Remove the records of execs that ended before the retention of output began."""
    since = timezone.now() - timedelta(days=settings.LOG_RETENTION_DAYS)
    old = Exec.objects.filter(ended_at__lt=since).order_by("ended_at").values_list("pk", flat=True)
    deleted, _ = Exec.objects.filter(pk__in=list(old[:EXPIRE_LIMIT])).delete()
    return deleted
