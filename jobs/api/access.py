"""How people reach what listens in a job's sandbox (WIRE.md section 2)."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.actor import actor_of
from core.labels import label_url
from jobs.api import examples, inputs, outputs
from jobs.api.waiting import JobWaitingView
from jobs.errors import SandboxStarting, SandboxStopped
from jobs.models import Job
from jobs.services import job_open_url
from jobs.standing import Standing, sandbox_serving, standing_of

WAIT_S = 20.0  # for the sandbox: less than clients wait for an answer


class JobAccessView(JobWaitingView):
    @extend_schema(
        operation_id="job_access",
        request=inputs.AccessInput,
        responses=outputs.AccessOutput,
        examples=examples.ACCESS,
    )
    def post(self, request: Request, job: str) -> Response | None:
        """Give the job's sandbox a public URL that leads to a port. The answer comes when the sandbox is up;
        whether something listens there is not asked."""
        form = inputs.AccessInput(data=request.data)
        form.is_valid(raise_exception=True)
        found = self.watch(actor_of(request), job, WAIT_S)
        port = form.validated_data.get("port") or inputs.URL_PORT
        return self._answer(job_open_url(found, port))

    def look(self) -> Response | None:
        return self._answer(self.read())

    def _answer(self, job: Job) -> Response | None:
        standing = standing_of(sandbox_serving(job.workspace_id, job.in_sandbox_id))
        if standing is Standing.STOPPED:
            raise SandboxStopped
        if standing is Standing.RUNNING:
            return Response({"success": True, "url": label_url(str(job.pk)), "port": job.url_port})
        if self.is_over:
            raise SandboxStarting
        return None
