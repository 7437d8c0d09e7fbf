"""Execute a command and wait for its end."""

from __future__ import annotations

import uuid
from typing import Any

from asgiref.sync import sync_to_async
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.actor import actor_of
from accounts.models import ApiToken
from core.api.idempotency import IDEMPOTENCY_KEY
from core.idempotency import IdempotencyKeyReused, key_of
from execs import refusals, selectors
from execs.api import examples, inputs, outputs
from execs.errors import ExecElsewhere, TooManyExecs
from execs.models import Exec
from execs.openings import opening_of
from execs.places import place_of
from execs.services import Command, exec_create, exec_ended, exec_forget, exec_not_started, exec_started
from execs.standing import Readiness
from execs.states import ExecState
from execs.talk import Talk
from execs.wire import text_fields
from execwire.client import Place
from execwire.frames import Stream
from jobs.api.waiting import JobWaitingView
from jobs.errors import SandboxStarting
from jobs.models import Job

START_S = 20.0  # for the sandbox to be up: less than clients wait for an answer
KEYS = uuid.UUID("6d1b8f2e-6b0f-4f0e-9a4b-0a4d3f8a7c55")  # the space of ids that keys of requests make


class ExecRunView(JobWaitingView):
    """The exec lives on its host: a caller that goes away ends only this answer."""

    _talk: Talk | None = None
    _first_place: Place | None = None
    _row: Exec

    @extend_schema(
        operation_id="exec_run",
        request=inputs.ExecInput,
        responses=outputs.ExecResultOutput,
        parameters=[IDEMPOTENCY_KEY],
        examples=examples.RUN,
    )
    def post(self, request: Request, job: str) -> Response | None:
        """Execute a command in the job's sandbox, which is woken for it, and answer when it has ended. It
        goes on if you do not wait; the same `Idempotency-Key` joins it again."""
        form = inputs.ExecInput(data=request.data)
        form.is_valid(raise_exception=True)
        self._command: Command = form.call()
        self._token = request.auth if isinstance(request.auth, ApiToken) else None
        self._known = _id_of(actor_of(request).pk, key_of(request.headers))
        self._readiness = Readiness()
        return self._begin(self.watch(actor_of(request), job, START_S))

    def look(self) -> Response | None:
        return self._begin(self.read()) if self._talk is None else self._outcome(self._talk)

    async def pause(self) -> None:
        if self._talk is None:
            await super().pause()
        else:
            await self._talk.run(self._note_running)

    def _begin(self, job: Job) -> Response | None:
        row = selectors.exec_find(self._actor, job, self._known)
        is_mine = row is None
        if row is None:
            sandbox = self._readiness.look(job)
            if sandbox is None:
                if self.is_over:
                    raise SandboxStarting(retry_after_s=2)
                return None
            self._first_place = place_of(sandbox)  # refuses before anything is written
            try:
                row = exec_create(self._actor, self._token, job, sandbox, self._command, self._known)
            except ExecElsewhere:
                if selectors.exec_find(self._actor, job, self._known) is None:
                    raise
                return self._begin(job)  # the same request came twice at once
        self._row, self._is_mine = row, is_mine
        return self._join()

    def _join(self) -> Response | None:
        if not self._is_mine:
            _require_same(self._row, self._command)
        self._talk = Talk(opening_of(self._row, self._command), self._place)
        return None if selectors.is_reachable(self._row) else self._answer(self._talk)

    async def _place(self) -> Place:
        place, self._first_place = self._first_place, None
        if place is not None:
            return place
        return await sync_to_async(place_of)(self._row.sandbox)

    async def _note_running(self) -> None:
        await sync_to_async(exec_started)(self._known, timezone.now())

    def _outcome(self, talk: Talk) -> Response:
        if talk.error is not None:
            self._write_failure(talk, talk.error)
            if self._row.state == ExecState.ENDED and refusals.is_forgotten(talk.error):
                return self._answer(talk)
            raise refusals.as_error(talk.error, may_run=talk.was_asked or not self._is_mine)
        if talk.end is not None:
            exec_ended(self._known, talk.end, talk.started_at)
        self._row.refresh_from_db()
        return self._answer(talk)

    def _write_failure(self, talk: Talk, error: Exception) -> None:
        """Only where it is certain that nothing ran; else whoever looks later asks the host."""
        is_forgotten = not talk.was_asked or isinstance(refusals.as_error(error), TooManyExecs)
        if is_forgotten and self._is_mine:
            exec_forget(self._known)
        elif refusals.is_certainly_not_started(error):
            exec_not_started(self._known, str(error))

    def _answer(self, talk: Talk) -> Response:
        return Response(_result(self._row, talk))


def _id_of(actor_id: int, key: str) -> uuid.UUID:
    """The same for the same key of the same account, so a repeated request joins what the first began."""
    return uuid.uuid5(KEYS, f"{actor_id} {key}") if key else uuid.uuid4()


def _require_same(row: Exec, command: Command) -> None:
    if (row.command, row.timeout_s) != (command.text, command.timeout_s):
        raise IdempotencyKeyReused


def _result(row: Exec, talk: Talk) -> dict[str, Any]:
    stdout, stderr = talk.kept[Stream.STDOUT], talk.kept[Stream.STDERR]
    total = (row.stdout_bytes or 0) + (row.stderr_bytes or 0)
    return {
        "exec_id": row.pk.hex,
        "state": row.state,
        "exit_code": row.exit_code,
        "reason": row.reason,
        "message": row.message or None,
        **text_fields("stdout", stdout.data),
        **text_fields("stderr", stderr.data),
        "stdout_bytes": row.stdout_bytes,
        "stderr_bytes": row.stderr_bytes,
        "truncated_bytes": max(0, total - stdout.size - stderr.size),
        "next_offsets": {"stdout": stdout.size, "stderr": stderr.size},
    }
