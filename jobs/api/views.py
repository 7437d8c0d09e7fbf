"""The public API of jobs (WIRE.md sections 2 to 4)."""

from __future__ import annotations

import time
from typing import Any, cast

import msgspec
from asgiref.sync import sync_to_async
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import ApiToken, User
from core.api.pagination import PAGE_PARAMETERS, paginated
from core.api.views import AsyncAPIView
from core.idempotency import Answer, digest_of, idempotent, key_of
from core.wakeup import listening
from jobs import logs, selectors
from jobs.api import examples, inputs, outputs, queries
from jobs.models import Job
from jobs.services import job_stop, job_submit, job_update
from jobs.states import JOB_FINAL
from jobs.wire import job_object, log_object


class JobsView(APIView):
    @extend_schema(
        operation_id="job_submit",
        request=inputs.JobInput,
        responses={202: outputs.JobAcceptedOutput},
        parameters=[examples.IDEMPOTENCY_KEY],
        examples=examples.SUBMIT,
    )
    def post(self, request: Request) -> Response:
        """Submit a script. It starts as soon as a host has room; the answer does not wait for that."""
        body = cast("dict[str, Any]", request.data)  # the parser lets nothing else pass
        form = inputs.JobInput(data=body)
        form.is_valid(raise_exception=True)
        actor = _actor(request)
        token = request.auth if isinstance(request.auth, ApiToken) else None

        def create() -> Answer:
            job = job_submit(actor, token, form.spec())
            words = f"Accepted. {job.message}" if job.message else "Accepted."
            return 202, {"request_id": str(job.pk), "status": job.status, "message": words}

        digest = digest_of("POST", request.path, body)
        status, answer = idempotent(actor, key_of(request.headers), digest, create)
        return Response(answer, status=status)

    @extend_schema(
        operation_id="job_list",
        parameters=[*PAGE_PARAMETERS, queries.STATUS, queries.WORKSPACE, queries.TEXT],
        responses=outputs.JobListOutput,
        examples=examples.LIST,
    )
    def get(self, request: Request) -> Response:
        """Your jobs, newest first."""
        query = request.query_params.dict()
        jobs = selectors.job_list(_actor(request), status=queries.status(query), text=queries.text(query))
        if query.get("workspace"):
            jobs = jobs.none()
        return Response(paginated(request, "jobs", jobs, outputs.JobOutput))


class JobView(APIView):
    @extend_schema(operation_id="job_get", responses=outputs.JobOutput, examples=examples.JOB)
    def get(self, request: Request, job: str) -> Response:
        """One job, by id or name."""
        return Response(job_object(selectors.job_get(_actor(request), job)))

    @extend_schema(
        operation_id="job_update",
        request=inputs.JobPatchInput,
        responses=outputs.JobOutput,
        examples=examples.PATCH,
    )
    def patch(self, request: Request, job: str) -> Response:
        """Rename a job."""
        found = selectors.job_get(_actor(request), job)
        form = inputs.JobPatchInput(data=request.data)
        form.is_valid(raise_exception=True)
        if "name" in form.validated_data:
            job_update(found, name=form.validated_data["name"])
        return Response(job_object(found))


class JobStopView(APIView):
    @extend_schema(
        operation_id="job_stop", request=None, responses=outputs.JobStopOutput, examples=examples.STOP
    )
    def post(self, request: Request, job: str) -> Response:
        """End a job. Repeating it, or stopping what has ended, changes nothing."""
        found = job_stop(selectors.job_get(_actor(request), job))
        return Response({"request_id": str(found.pk), "status": found.status})


class JobStatusView(AsyncAPIView):
    @extend_schema(
        operation_id="job_status",
        parameters=[queries.WAIT, queries.REVISION],
        responses=outputs.JobOutput,
        examples=examples.JOB,
    )
    async def get(self, request: Request, job: str) -> Response:
        """One job. With `wait` the answer comes when its status is another one, when it has ended, or
        after that many seconds; with `revision` too, when the job is at another revision than that."""
        query = request.query_params.dict()
        wait_s, known = queries.wait_s(query), queries.whole(query, "revision", -1)
        deadline = time.monotonic() + wait_s
        read = sync_to_async(selectors.job_get)
        actor = _actor(request)
        first = await read(actor, job)
        if not wait_s or first.status in JOB_FINAL or known not in {-1, first.revision}:
            return Response(job_object(first))
        async with listening(f"job.{first.pk}") as waiter:
            while True:
                found = await read(actor, str(first.pk))
                is_changed = found.status != first.status if known < 0 else found.revision != known
                left_s = deadline - time.monotonic()
                if is_changed or left_s <= 0:
                    return Response(job_object(found))
                await waiter.wait(left_s)


class JobLogsView(AsyncAPIView):
    @extend_schema(
        operation_id="job_logs",
        parameters=[queries.OFFSET, queries.LIMIT, queries.WAIT, queries.STREAM, queries.UNIT],
        responses=outputs.LogsOutput,
        examples=examples.LOGS,
    )
    async def get(self, request: Request, job: str) -> HttpResponse:
        """Output from an offset on. With `wait` the answer comes when there is some, when the job has
        ended, or after that many seconds."""
        query = request.query_params.dict()
        reader = _LogReader(query)
        deadline = time.monotonic() + queries.wait_s(query)
        actor = _actor(request)
        found = await sync_to_async(selectors.job_get)(actor, job)
        async with listening(f"job.{found.pk}") as waiter:
            while True:
                has_news, body = await sync_to_async(reader.read)(actor, found)
                left_s = deadline - time.monotonic()
                if has_news or left_s <= 0:
                    return HttpResponse(body, content_type="application/json")
                await waiter.wait(left_s)


class _LogReader:
    """Reads on where the last read ended; what a choice of streams left out is not read again."""

    def __init__(self, query: queries.Query) -> None:
        self.offset = queries.whole(query, "offset", 0)
        self.limit, self.limit_bytes = queries.log_limits(query)
        self.streams = queries.streams(query)
        self.unit = queries.unit(query)

    def read(self, actor: User, job: Job) -> tuple[bool, bytes]:
        """Whether there is something to tell, and the answer."""
        fresh = selectors.job_get(actor, str(job.pk))  # first: what is stored by its end is all there is
        page = logs.page(
            fresh,
            self.offset,
            limit=self.limit,
            limit_bytes=self.limit_bytes,
            streams=self.streams,
            unit=self.unit,
        )
        self.offset = page.next_offset
        answer = log_object(fresh, page)
        # Not through DRF's renderer: a whole log of 100,000 entries takes it ten times as long.
        return bool(answer["logs"] or answer["end"]), msgspec.json.encode(answer)


class JobEventsView(APIView):
    @extend_schema(
        operation_id="job_events",
        parameters=PAGE_PARAMETERS,
        responses=outputs.JobEventsOutput,
        examples=examples.EVENTS,
    )
    def get(self, request: Request, job: str) -> Response:
        """What happened to a job, in order."""
        events = selectors.job_events(selectors.job_get(_actor(request), job))
        return Response(paginated(request, "events", events, outputs.JobEventOutput))


class PoolStatusView(APIView):
    @extend_schema(
        operation_id="pool_status",
        responses=OpenApiResponse(outputs.PoolOutput, description="The room of all hosts that take work."),
        examples=examples.POOL,
    )
    def get(self, request: Request) -> Response:
        """How many sandboxes there are room for, and how many are in use."""
        pool = selectors.pool()
        return Response(
            {
                "idle_vms": max(pool.total - pool.busy, 0),
                "busy_vms": pool.busy,
                "total_vms": pool.total,
                "min_pool_size": 0,
                "max_pool_size": pool.total,
            }
        )


def _actor(request: Request) -> User:
    actor = request.user
    assert isinstance(actor, User)  # noqa: S101 - IsAuthenticated has made sure; for the type checker
    return actor
