"""The part of the host API that is about jobs: boot, poll, report."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.views import WaitingView
from files.models import Upload
from files.wire import file_assignment
from hosts.api.caller import HostView, host_of
from hosts.errors import StaleBoot
from hosts.models import Host
from hosts.selectors import host_get
from hosts.services import Capacity, DataAddress
from hosts.tickets import ticket_keys
from images.hostapi.wire import head_objects
from jobs.hostapi.messages import boot_of, poll_of, report_of
from jobs.hostapi.report import report_apply
from jobs.models import Job, Lease
from jobs.services import host_booted
from jobs.states import LeaseState
from sandboxes.hostapi.wire import wish_objects
from sandboxes.selectors import sandboxes_changed
from workspaces.hostapi.wire import question_object
from workspaces.selectors import gone_from, gone_of, questions_changed

DROP_LIMIT = 10_000  # far more than a host holds
NOTHING: dict[str, Any] = {
    "assignments": [],
    "drop": [],
    "sandboxes": [],
    "drop_sandboxes": [],
    "drop_volumes": [],
    "questions": [],
}


@extend_schema(exclude=True)
class BootView(HostView):
    def post(self, request: Request) -> Response:
        boot = boot_of(request._request.body)
        answer = host_booted(
            host_of(request).pk,
            {(lease.lease_id, lease.lease_epoch) for lease in boot.leases},
            {(sandbox.sandbox_id, sandbox.epoch) for sandbox in boot.sandboxes},
            machine_boot_id=boot.machine_boot_id,
            agent_version=boot.agent_version,
            isolation=boot.isolation,
            capacity=Capacity(boot.capacity.sandboxes, boot.capacity.memory_mb, boot.capacity.vcpus),
            data=DataAddress(boot.data_port.address, boot.data_port.port) if boot.data_port else None,
        )
        return Response(
            {
                "boot_epoch": answer.boot_epoch,
                "revision": answer.revision,
                "heartbeat_s": settings.HEARTBEAT_S,
                "lease_s": settings.HOST_LEASE_S,
                "assignments": [assignment(lease) for lease in answer.leases],
                "drop": answer.drop,
                "sandboxes": wish_objects(answer.sandboxes),
                "drop_sandboxes": answer.drop_sandboxes,
                "drop_volumes": list(gone_of(boot.volumes)),
                "images": head_objects(),
                "ticket_keys": ticket_keys(),
                "publishes_images": host_of(request).publishes_images,
            }
        )


@extend_schema(exclude=True)
class ReportView(HostView):
    def post(self, request: Request) -> Response:
        return Response({"results": report_apply(host_of(request), report_of(request._request.body))})


@extend_schema(exclude=True)
class PollView(HostView, WaitingView):
    def get(self, request: Request) -> Response | None:
        self._query = poll_of(request.query_params.dict())
        self._host = host_of(request)
        self.wait_for(min(self._query.wait, settings.WAIT_LIMIT_S), f"host.{self._host.pk}")
        return self.look()

    def look(self) -> Response | None:
        answer = _changes(self._host, self._query.boot_epoch, self._query.after)
        return Response(answer) if answer["revision"] > self._query.after or self.is_over else None


def _changes(host: Host, boot_epoch: int, after: int) -> dict[str, Any]:
    """What changed on the host. The revision is read first: what changes meanwhile is told twice
    rather than never."""
    fresh = host_get(host.pk)
    if fresh.boot_epoch != boot_epoch:
        raise StaleBoot
    if fresh.revision <= after:
        return NOTHING | {"revision": fresh.revision}
    changed = Lease.objects.filter(host_id=host.pk, revision__gt=after)
    live = changed.exclude(state=LeaseState.ENDED).select_related("job").order_by("pk")
    ended = changed.filter(state=LeaseState.ENDED).order_by("-revision").values_list("pk", flat=True)
    answer = {
        "revision": fresh.revision,
        "assignments": [assignment(lease) for lease in live],
        "drop": list(ended[:DROP_LIMIT]),
    }
    if fresh.image_revision > after:
        answer["images"] = head_objects()
    return NOTHING | answer | (_sandboxes(fresh, after) if fresh.sandbox_revision > after else {})


def _sandboxes(host: Host, after: int) -> dict[str, Any]:
    """About held sandboxes, and what their workspaces are asked about."""
    live, ended = sandboxes_changed(host.pk, after)
    return {
        "sandboxes": wish_objects(live),
        "drop_sandboxes": ended,
        "drop_volumes": gone_from(host.pk),
        "questions": [question_object(q) for q in questions_changed(host.pk, host.boot_epoch, after)],
    }


def assignment(lease: Lease) -> dict[str, Any]:
    """A lease as the host API shows it; `lease.job` must be loaded."""
    job = lease.job
    return {
        "lease_id": lease.pk,
        "lease_epoch": lease.epoch,
        "revision": lease.revision,
        "wish": "stop" if lease.is_stop_wished else "run",
        "sandbox_id": lease.sandbox_id,
        "job_id": str(job.pk),
        "tenant": f"u{job.owner_id}",
        "name": job.name,
        "script": job.script,
        "environment": job.environment,
        "image": job.image,
        "vcpus": job.vcpus,
        "memory_mb": job.memory_mb,
        "disk_gb": job.disk_gb,
        "timeout_s": job.timeout_s,
        "log_offset": lease.log_offset,
        "assigned_at": int(lease.created_at.timestamp() * 1000),
        "in_sandbox": lease.in_sandbox_id is not None,
        "files": [file_assignment(_upload(job, file)) for file in job.files],
    }


def _upload(job: Job, file: dict[str, Any]) -> Upload:
    """An upload as it was at the submit: a job waits no longer for having files."""
    return Upload(
        pk=UUID(file["id"]), owner_id=job.owner_id, name=file["name"], sha256=file["sha256"],
        size_bytes=file["bytes"],
    )  # fmt: skip
