"""The public API of execs (WIRE.md section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.actor import actor_of
from core.api.pagination import PAGE_PARAMETERS, paginated
from core.api.views import WaitingView
from execs import refusals, selectors
from execs.api import examples, inputs, outputs, queries
from execs.errors import OutputGone
from execs.models import Exec
from execs.places import place_of
from execs.reading import Page, read
from execs.services import Answer, Question, ask, exec_ended, questions, settle, settle_gone
from execs.states import ExecState
from execs.wire import end_object, exec_object, text_fields
from execwire import client
from jobs.selectors import job_get

ASK_S = 2.0  # for hosts: an answer is wanted now
ASKED_LIMIT = 32  # execs of one list


class _AskingView(WaitingView):
    """Asks hosts for what has not ended as far as we know."""

    _questions: Sequence[Question] = ()
    _answers: Sequence[Answer] = ()

    def ask_about(self, rows: QuerySet[Exec]) -> Response | None:
        settle_gone(rows)
        live = rows.exclude(state=ExecState.ENDED)[:ASKED_LIMIT]
        self._questions = questions(list(live))
        return None if self._questions else self.look()

    async def pause(self) -> None:
        self._answers = await ask(self._questions, ASK_S)

    def look(self) -> Response:
        settle(self._answers)
        return self.answer()

    def answer(self) -> Response:
        raise NotImplementedError


class ExecListView(_AskingView):
    @extend_schema(
        operation_id="exec_list",
        parameters=PAGE_PARAMETERS,
        responses=outputs.ExecListOutput,
        examples=examples.LIST,
    )
    def get(self, request: Request, job: str) -> Response | None:
        """What was executed in the job's sandboxes, newest first."""
        actor = actor_of(request)
        self._rows = selectors.exec_list(actor, job_get(actor, job))
        return self.ask_about(self._rows)

    def answer(self) -> Response:
        return Response(paginated(self.request, "execs", self._rows.all(), outputs.ExecOutput))


class ExecView(_AskingView):
    @extend_schema(operation_id="exec_get", responses=outputs.ExecOutput, examples=examples.EXEC)
    def get(self, request: Request, job: str, exec_id: str) -> Response | None:
        """One exec."""
        actor = actor_of(request)
        found = job_get(actor, job)
        row = selectors.exec_get(actor, found, exec_id)
        self._rows = selectors.exec_list(actor, found).filter(pk=row.pk)
        return self.ask_about(self._rows)

    def answer(self) -> Response:
        return Response(exec_object(self._rows.get()))


class ExecOutputView(WaitingView):
    @extend_schema(
        operation_id="exec_output",
        parameters=[queries.OFFSET, queries.STREAM, queries.WAIT],
        responses=outputs.ExecPageOutput,
        examples=examples.OUTPUT,
    )
    def get(self, request: Request, job: str, exec_id: str) -> Response | None:
        """A stream of an exec from an offset on, at most 1 MiB of it. With `wait` the answer comes when there
        is some, when the exec has ended, or after that many seconds."""
        actor = actor_of(request)
        self._stream, self._offset, self._wait_s = queries.page_of(request.query_params.dict())
        self._row = selectors.exec_get(actor, job_get(actor, job), exec_id)
        if not selectors.is_reachable(self._row):
            raise OutputGone(queries.gone_words(self._row))
        self._place = place_of(self._row.sandbox)
        return None

    async def pause(self) -> None:
        self._read: Page | Exception
        try:
            self._read = await read(self._place, self._row.pk.hex, self._stream, self._offset, self._wait_s)
        except Exception as error:  # noqa: BLE001 - answered by `look`, on a thread
            self._read = error

    def look(self) -> Response:
        if isinstance(self._read, Exception):
            if self._row.state == ExecState.ENDED and refusals.is_forgotten(self._read):
                raise OutputGone
            raise refusals.as_error(self._read)
        page = self._read
        if page.end is not None and self._row.state != ExecState.ENDED:
            exec_ended(self._row.pk, page.end)
            self._row.refresh_from_db()
        if page.end is not None and page.gap_bytes and not page.data:
            raise OutputGone
        return Response(_page_object(self._row, self._stream.name.lower(), page))


class ExecSignalView(WaitingView):
    @extend_schema(
        operation_id="exec_signal",
        request=inputs.SignalInput,
        responses=outputs.SignalledOutput,
        examples=examples.SIGNAL,
    )
    def post(self, request: Request, job: str, exec_id: str) -> Response | None:
        """Send a signal to the command's process group, or end all its processes with KILL. Nothing happens
        to one that has ended."""
        form = inputs.SignalInput(data=request.data)
        form.is_valid(raise_exception=True)
        self._signal = form.validated_data["signal"]
        actor = actor_of(request)
        self._row = selectors.exec_get(actor, job_get(actor, job), exec_id)
        self._error: Exception | None = None
        if self._row.state == ExecState.ENDED or not selectors.is_reachable(self._row):
            return self.look()
        self._place = place_of(self._row.sandbox)
        return None

    async def pause(self) -> None:
        try:
            await client.signal(self._place, self._row.pk.hex, self._signal)
        except Exception as error:  # noqa: BLE001 - answered by `look`, on a thread
            self._error = error

    def look(self) -> Response:
        if self._error is not None:
            raise refusals.as_error(self._error)
        return Response({"exec_id": self._row.pk.hex, "signal": self._signal})


def _page_object(row: Exec, stream: str, page: Page) -> dict[str, Any]:
    return {
        "exec_id": row.pk.hex,
        "stream": stream,
        "offset": page.offset,
        **text_fields("data", page.data),
        "gap_bytes": page.gap_bytes,
        "next_offset": page.offset + len(page.data),
        "end": end_object(row) if page.end is not None else None,
    }
