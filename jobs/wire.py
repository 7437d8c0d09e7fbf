"""The wire form of jobs and their output (WIRE.md sections 2 and 4), for REST and WebSocket alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from core.labels import label_url
from hosts.models import Host
from jobs.logs import LogPage
from jobs.models import Job, Lease
from jobs.states import JOB_FINAL, SandboxState
from sandboxes.states import SandboxPhase
from ssh.selectors import ssh_url
from workspaces.models import Version


def job_object(job: Job) -> dict[str, Any]:
    """A job that was read with `job.current` and its sandbox (selectors)."""
    sandbox_id, host = _where(job)
    return {
        "request_id": str(job.pk),
        "id": str(job.pk),
        "name": job.name or None,
        "status": job.status,
        "reason": job.reason or None,
        "message": job.message or None,
        "exit_code": job.exit_code,
        "vm_id": sandbox_id,
        "workspace_id": job.workspace_name or None,
        "base_workspace_id": job.base_name or None,
        "persistent": job.is_persistent,
        "no_sleep": job.no_sleep,
        "startup_command": job.startup_command or None,
        "url": label_url(str(job.pk)) if job.url_port else None,
        "ssh": ssh_url(job.ssh_port) if job.ssh_port else None,  # type: ignore[attr-defined]  # selectors
        "script_duration_ms": job.script_duration_ms,
        "created_at": stamp(job.created_at),
        "started_at": stamp(job.started_at),
        "finished_at": stamp(job.finished_at),
        "stop_requested_at": stamp(job.stop_requested_at),
        "host": host.name if host else None,
        "isolation": host.isolation if host else None,
        "sandbox": job.sandbox,
        "sandbox_message": job.sandbox_message or None,
        "durable_at": stamp(job.durable_at),
        "unsaved_since": stamp(job.unsaved_since),
        "timings": job.timings,
        "attempt": job.attempt,
        "revision": job.revision,
        "vcpus": job.vcpus,
        "memory_mb": job.memory_mb,
        "disk_gb": job.disk_gb,
        "timeout": job.timeout_s,
        "retries": job.retries,
        "log_bytes": job.log_bytes,
    }


def _where(job: Job) -> tuple[str | None, Host | None]:
    """The sandbox that the job has or had, and its host. The sandbox is named only once commands can run in
    it: clients take it as the sign for that. One that sleeps and has ended has no name."""
    box = job.in_sandbox if job.status in JOB_FINAL and job.sandbox != SandboxState.NONE else None
    if box is not None:
        is_up = box.state in {SandboxPhase.RUNNING, SandboxPhase.ENDING}
        return (box.pk, box.host) if is_up else (None, None)
    lease: Lease | None = getattr(job, "current", None)  # Django leaves it out where there is none
    if lease is None:
        return None, None
    return lease.sandbox_id if job.started_at else None, lease.host


def receipt_object(job: Job, version: Version) -> dict[str, Any]:
    """What is durable of a job's workspace."""
    return {
        "workspace_id": job.workspace_name,
        "version": version.number,
        "sha256": version.manifest,
        "bytes": version.stored_bytes,
        "synced_at": stamp(version.durable_at),
    }


def log_object(job: Job, page: LogPage) -> dict[str, Any]:
    """A page of output. `end` is there as soon as nothing follows."""
    return {
        "logs": page.entries,
        "next_offset": page.next_offset,
        "truncated_bytes": job.dropped_bytes,
        "expired": job.logs_expired_at is not None,
        "end": end_object(job) if page.next_offset >= job.log_bytes else None,
    }


def end_object(job: Job) -> dict[str, Any] | None:
    """How the job ended; None while it has not."""
    if job.status not in JOB_FINAL:
        return None
    return {"status": job.status, "reason": job.reason or None, "exit_code": job.exit_code}


def stamp(at: datetime | None) -> str | None:
    """RFC 3339 in UTC, in milliseconds."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
