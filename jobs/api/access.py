"""How people reach what listens in a job's sandbox (WIRE.md section 2)."""

from __future__ import annotations

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.actor import actor_of
from core.api.ports import SSH_PORT
from core.labels import label_url
from jobs.api import examples, inputs, outputs
from jobs.api.waiting import JobWaitingView
from jobs.errors import SandboxStarting, SandboxStopped, SshNotOpen
from jobs.models import Job
from jobs.services import job_open_ssh, job_open_url, job_revoke_ssh, sandbox_wake
from jobs.services.ssh import Entrance
from jobs.standing import Standing, sandbox_serving, standing_of
from jobs.states import WakeCause
from sandboxes.models import Sandbox
from ssh.selectors import is_answered, is_opened
from ssh.services import door_group

WAIT_S = 20.0  # for the sandbox: less than clients wait for an answer
REVOKE_S = 5.0  # for its host to have put somebody out


class JobAccessView(JobWaitingView):
    @extend_schema(
        operation_id="job_access",
        request=inputs.AccessInput,
        responses=PolymorphicProxySerializer(
            "Access", [outputs.AccessOutput, outputs.SshAccessOutput], resource_type_field_name=None
        ),
        examples=examples.ACCESS,
    )
    def post(self, request: Request, job: str) -> Response | None:
        """Give the job's sandbox a public URL that leads to a port; or, for port 22, give yourself a key
        to it. One that sleeps is woken. The answer comes when the sandbox is up; whether something
        listens on the port is not asked."""
        form = inputs.AccessInput(data=request.data)
        form.is_valid(raise_exception=True)
        actor = actor_of(request)
        found = self.watch(actor, job, WAIT_S)
        port = form.validated_data.get("port") or inputs.URL_PORT
        self._entrance: Entrance | None = None
        if port == SSH_PORT:
            sandbox_wake(found, WakeCause.ACCESS)
            self._entrance = job_open_ssh(found, actor)
            self.wait_for(WAIT_S, door_group(self._entrance.door))
        else:
            sandbox_wake(job_open_url(found, port), WakeCause.ACCESS)
        return self.look()

    def look(self) -> Response | None:
        return self._answer(self.read())

    def _answer(self, job: Job) -> Response | None:
        sandbox = sandbox_serving(job.workspace_id, job.in_sandbox_id)
        standing = standing_of(sandbox)
        if standing is Standing.STOPPED:
            raise SandboxStopped
        if standing is Standing.RUNNING and sandbox is not None:
            return self._reach(job, sandbox)
        if self.is_over:
            raise SandboxStarting
        return None

    def _reach(self, job: Job, sandbox: Sandbox) -> Response | None:
        if self._entrance is None:
            return Response({"success": True, "url": label_url(str(job.pk)), "port": job.url_port})
        door = self._entrance.door
        is_reached = sandbox.host is not None and sandbox.host.data_port is not None
        missing = (
            "" if is_reached else "gateways cannot reach its host",
            "" if is_answered(door, sandbox.pk) else "its host has not put the key into force",
            "" if is_opened(door) else "no gateway listens on its port",
        )
        if not any(missing):
            return Response(outputs.SshAccessOutput(self._entrance).data)
        if self.is_over:
            raise SshNotOpen(f"SSH is not open yet: {' and '.join(filter(None, missing))}.")
        return None


class JobSshKeyView(JobWaitingView):
    @extend_schema(
        operation_id="job_ssh_key_revoke",
        responses={200: outputs.SshKeyRevokedOutput},
        examples=examples.SSH_KEY_REVOKED,
    )
    def delete(self, request: Request, job: str) -> Response | None:
        """Revoke your SSH key to the job's sandbox, and end the sessions that are open. The next
        `access` with port 22 makes another one."""
        actor = actor_of(request)
        found = self.watch(actor, job, REVOKE_S)
        self._door = job_revoke_ssh(found, actor)
        self.wait_for(REVOKE_S, door_group(self._door))
        return self.look()

    def look(self) -> Response | None:
        job = self.read()
        sandbox = sandbox_serving(job.workspace_id, job.in_sandbox_id)
        is_in_force = sandbox is None or is_answered(self._door, sandbox.pk)
        if not (is_in_force or self.is_over):
            return None
        return Response({"success": True, "in_force": is_in_force})
