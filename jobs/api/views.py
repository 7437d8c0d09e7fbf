"""The public API of jobs (WIRE.md sections 2 to 4)."""

from __future__ import annotations

import msgspec
from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.actor import actor_of
from accounts.models import ApiToken
from core.api.idempotency import IDEMPOTENCY_KEY, answer_once
from core.api.pagination import PAGE_PARAMETERS, paginated
from core.idempotency import Answer
from jobs import logs, selectors
from jobs.api import examples, inputs, outputs, queries
from jobs.api.waiting import JobWaitingView
from jobs.errors import NotSavedInTime
from jobs.models import Job
from jobs.services import job_stop, job_submit, job_sync, job_update, sandbox_wake
from jobs.services.update import ONLY_PERSISTENT
from jobs.states import JOB_FINAL, WakeCause
from jobs.wire import job_object, log_object, receipt_object


class JobsView(APIView):
    @extend_schema(
        operation_id="job_submit",
        request=inputs.JobInput,
        responses={202: outputs.JobAcceptedOutput},
        parameters=[IDEMPOTENCY_KEY],
        examples=examples.SUBMIT,
    )
    def post(self, request: Request) -> Response:
        """Submit a script. It starts as soon as a host has room; the answer does not wait for that."""
        form = inputs.JobInput(data=request.data)
        form.is_valid(raise_exception=True)
        actor = actor_of(request)
        token = request.auth if isinstance(request.auth, ApiToken) else None

        def create() -> Answer:
            job = job_submit(actor, token, form.spec())
            words = f"Accepted. {job.message}" if job.message else "Accepted."
            return 202, {"request_id": str(job.pk), "status": job.status, "message": words}

        # A token for one workspace names none: with another's, the same body is another request.
        body = {"body": request.data, "workspace": actor.only_workspace} if actor.only_workspace else None
        status, answer = answer_once(actor, request, create, body=body)
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
        jobs = selectors.job_list(
            actor_of(request),
            status=queries.status(query),
            text=queries.text(query),
            workspace=queries.workspace(query),
        )
        return Response(paginated(request, "jobs", jobs, outputs.JobOutput))


class JobView(APIView):
    @extend_schema(operation_id="job_get", responses=outputs.JobOutput, examples=examples.JOB)
    def get(self, request: Request, job: str) -> Response:
        """One job, by id or name."""
        return Response(job_object(selectors.job_get(actor_of(request), job)))

    @extend_schema(
        operation_id="job_update",
        request=inputs.JobPatchInput,
        responses=outputs.JobOutput,
        examples=examples.PATCH,
    )
    def patch(self, request: Request, job: str) -> Response:
        """Rename a job, or change what its workspace's sandboxes are to be like. A sandbox that is there goes
        by `no_sleep` at once; `startup_command` is for those that are made later."""
        actor = actor_of(request)
        form = inputs.JobPatchInput(data=request.data)
        form.is_valid(raise_exception=True)
        changes = form.changes()
        find = selectors.standing_get if changes.keys() & set(ONLY_PERSISTENT) else selectors.job_get
        found = find(actor, job)
        job_update(found, **changes)
        return Response(job_object(selectors.job_get(actor, str(found.pk))))


class JobWakeView(APIView):
    @extend_schema(
        operation_id="job_wake", request=None, responses={202: outputs.JobOutput}, examples=examples.WAKE
    )
    def post(self, request: Request, job: str) -> Response:
        """Have the job's sandbox get up, if it sleeps or was stopped. The answer does not wait for that: its
        `sandbox` is `running` as soon as it is up. The script does not run again."""
        actor = actor_of(request)
        found = selectors.job_get(actor, job)
        sandbox_wake(found, WakeCause.WISH)
        return Response(job_object(selectors.job_get(actor, str(found.pk))), status=202)


class JobStopView(APIView):
    @extend_schema(
        operation_id="job_stop", request=None, responses=outputs.JobStopOutput, examples=examples.STOP
    )
    def post(self, request: Request, job: str) -> Response:
        """End a job, and the sandbox that it left running. Repeating it changes nothing."""
        found = job_stop(selectors.job_get(actor_of(request), job))
        return Response({"request_id": str(found.pk), "status": found.status})


class JobSyncView(JobWaitingView):
    @extend_schema(
        operation_id="job_sync", request=None, responses=outputs.ReceiptOutput, examples=examples.SYNC
    )
    def post(self, request: Request, job: str) -> Response | None:
        """Save the job's workspace as it is now, without stopping it. The answer comes when the version is
        durable: it is a receipt for it."""
        found = self.watch(actor_of(request), job, settings.WAIT_LIMIT_S)
        self._sandbox_id = found.in_sandbox_id  # another attempt may have another one
        self._wish = job_sync(found)
        return self._answer(found)

    def look(self) -> Response | None:
        return self._answer(self.read())

    def _answer(self, job: Job) -> Response | None:
        version = selectors.receipt_of(job, self._sandbox_id, self._wish)
        if version is not None:
            return Response(receipt_object(job, version))
        if self.is_over:
            raise NotSavedInTime
        return None


class JobStatusView(JobWaitingView):
    @extend_schema(
        operation_id="job_status",
        parameters=[queries.WAIT, queries.REVISION],
        responses=outputs.JobOutput,
        examples=examples.JOB,
    )
    def get(self, request: Request, job: str) -> Response | None:
        """One job. With `wait` the answer comes when its status is another one, when it has ended, or
        after that many seconds; with `revision` too, when the job is at another revision than that (and
        only then: the sandbox of a job that has ended goes on changing)."""
        query = request.query_params.dict()
        wait_s, self._known = queries.wait_s(query), queries.whole(query, "revision", -1)
        first = self.watch(actor_of(request), job, wait_s)
        self._status = first.status
        has_ended = first.status in JOB_FINAL and self._known < 0
        return self._answer(first, is_due=not wait_s or has_ended)

    def look(self) -> Response | None:
        return self._answer(self.read(), is_due=self.is_over)

    def _answer(self, job: Job, *, is_due: bool) -> Response | None:
        is_changed = job.status != self._status if self._known < 0 else job.revision != self._known
        return Response(job_object(job)) if is_due or is_changed else None


class JobLogsView(JobWaitingView):
    @extend_schema(
        operation_id="job_logs",
        parameters=[queries.OFFSET, queries.LIMIT, queries.WAIT, queries.STREAM, queries.UNIT],
        responses=outputs.LogsOutput,
        examples=examples.LOGS,
    )
    def get(self, request: Request, job: str) -> HttpResponse | None:
        """Output from an offset on. With `wait` the answer comes when there is some, when the job has
        ended, or after that many seconds."""
        query = request.query_params.dict()
        self._reader = _LogReader(query)
        return self._answer(self.watch(actor_of(request), job, queries.wait_s(query)))

    def look(self) -> HttpResponse | None:
        return self._answer(self.read())

    def _answer(self, job: Job) -> HttpResponse | None:
        has_news, body = self._reader.read(job)
        return HttpResponse(body, content_type="application/json") if has_news or self.is_over else None


class _LogReader:
    """Reads on where the last read ended; what a choice of streams left out is not read again."""

    def __init__(self, query: queries.Query) -> None:
        self.offset = queries.whole(query, "offset", 0)
        self.limit, self.limit_bytes = queries.log_limits(query)
        self.streams = queries.streams(query)
        self.unit = queries.unit(query)

    def read(self, job: Job) -> tuple[bool, bytes]:
        """Whether there is something to tell, and the answer. `job` was read just now: what is stored by
        its end is all there is."""
        page = logs.page(
            job,
            self.offset,
            limit=self.limit,
            limit_bytes=self.limit_bytes,
            streams=self.streams,
            unit=self.unit,
        )
        self.offset = page.next_offset
        answer = log_object(job, page)
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
        events = selectors.job_events(selectors.job_get(actor_of(request), job))
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
