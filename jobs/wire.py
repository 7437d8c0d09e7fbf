"""The wire form of jobs and their output (WIRE.md sections 2 and 4), for REST and WebSocket alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from core.labels import label_url
from jobs.logs import LogPage
from jobs.models import Job, Lease
from jobs.states import JOB_FINAL
from workspaces.models import Version


def job_object(job: Job) -> dict[str, Any]:
    """A job that was read with `job.current` (selectors)."""
    lease: Lease | None = getattr(job, "current", None)  # Django leaves it out where there is none
    return {
        "request_id": str(job.pk),
        "id": str(job.pk),
        "name": job.name or None,
        "status": job.status,
        "reason": job.reason or None,
        "message": job.message or None,
        "exit_code": job.exit_code,
        # Shown only once commands can run in it: clients take it as the sign for that.
        "vm_id": lease.sandbox_id if lease and job.started_at else None,
        "workspace_id": job.workspace_name or None,
        "base_workspace_id": job.base_name or None,
        "persistent": job.is_persistent,
        "no_sleep": False,
        "url": label_url(str(job.pk)) if job.url_port else None,
        "ssh": None,
        "script_duration_ms": job.script_duration_ms,
        "created_at": stamp(job.created_at),
        "started_at": stamp(job.started_at),
        "finished_at": stamp(job.finished_at),
        "stop_requested_at": stamp(job.stop_requested_at),
        "host": lease.host.name if lease else None,
        "isolation": lease.host.isolation if lease else None,
        "sandbox": job.sandbox,
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
