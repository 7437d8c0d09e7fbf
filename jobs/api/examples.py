"""What the API's documentation shows."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

_ID = "5f0c9f6e-3a53-4d0e-9a55-0d9b2a3f7c11"
_JOB: dict[str, Any] = {
    "request_id": _ID,
    "id": _ID,
    "name": "build",
    "status": "completed",
    "reason": None,
    "message": None,
    "exit_code": 0,
    "vm_id": "k3v9x0a1b2c3d4e5",
    "workspace_id": None,
    "base_workspace_id": None,
    "persistent": False,
    "no_sleep": False,
    "startup_command": None,
    "url": None,
    "ssh": None,
    "script_duration_ms": 12,
    "created_at": "2026-11-23T07:00:00.000Z",
    "started_at": "2026-11-23T07:00:00.021Z",
    "finished_at": "2026-11-23T07:00:00.033Z",
    "stop_requested_at": None,
    "host": "host-1",
    "isolation": "container",
    "sandbox": "none",
    "sandbox_message": None,
    "durable_at": None,
    "unsaved_since": None,
    "timings": {"queued": 2, "assigned": 3, "restored": 5, "started": 8},
    "attempt": 1,
    "revision": 4,
    "vcpus": 2,
    "memory_mb": 1024,
    "disk_gb": 2,
    "timeout": None,
    "retries": 0,
    "log_bytes": 12,
}
_PAGE = {"total": 1, "page": 1, "page_size": 20}


def _request(value: dict[str, Any]) -> OpenApiExample:
    return OpenApiExample("request", value=value, request_only=True)


def _response(value: dict[str, Any], status: str = "200") -> OpenApiExample:
    return OpenApiExample("response", value=value, response_only=True, status_codes=[status])


SUBMIT = [
    _request({"script": "echo Hello World", "name": "build", "environment": {"CI": "1"}, "timeout": 600}),
    _response({"request_id": _ID, "status": "accepted", "message": "Accepted."}, "202"),
]
JOB = [_response(_JOB)]
LIST = [_response({"jobs": [_JOB]} | _PAGE)]
_KEPT = _JOB | {
    "name": "web",
    "workspace_id": "web",
    "persistent": True,
    "no_sleep": True,
    "sandbox": "running",
}
_STARTUP = {"startup_command": "python3 -m http.server 8080"}
PATCH = [_request({"no_sleep": True} | _STARTUP), _response(_KEPT | {"no_sleep": True} | _STARTUP)]
WAKE = [_response(_KEPT | {"sandbox": "sleeping", "vm_id": None, "host": None}, "202")]
SYNC = [
    _response(
        {
            "workspace_id": "train",
            "version": 3,
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "bytes": 4320,
            "synced_at": "2026-11-23T07:00:12.000Z",
        }
    )
]
_HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDY0aG9zdGtleXM2NGhvc3RrZXlzNjRob3N0a2V5czY0"
ACCESS = [
    _request({"port": 8000}),
    _response({"success": True, "url": f"http://{_ID}.apps.localhost:8081", "port": 8000}),
    OpenApiExample("SSH", value={"port": 22}, request_only=True),
    OpenApiExample(
        "SSH key",
        value={
            "success": True,
            "ssh_host": "mags.example.org",
            "ssh_port": 22417,
            "ssh_user": "root",
            "ssh_private_key": "-----BEGIN OPENSSH PRIVATE KEY-----\n...",
            "ssh_host_key": _HOST_KEY,
            "known_hosts": f"[mags.example.org]:22417 {_HOST_KEY}",
        },
        response_only=True,
        status_codes=["200"],
    ),
]
SSH_KEY_REVOKED = [_response({"success": True, "in_force": True})]
STOP = [_response({"request_id": _ID, "status": "running"})]
LOGS = [
    _response(
        {
            "logs": [
                {
                    "timestamp": "2026-11-23T07:00:00.030Z",
                    "level": "info",
                    "message": "Hello World",
                    "stream": "stdout",
                    "offset": 0,
                }
            ],
            "next_offset": 12,
            "truncated_bytes": 0,
            "expired": False,
            "end": {"status": "completed", "reason": None, "exit_code": 0},
        }
    )
]
EVENTS = [
    _response(
        {
            "events": [
                {"kind": "submitted", "at": "2026-11-23T07:00:00.000Z", "detail": {}},
                {
                    "kind": "assigned",
                    "at": "2026-11-23T07:00:00.002Z",
                    "detail": {"host": "host-1", "attempt": 1},
                },
            ]
        }
        | _PAGE
        | {"total": 2}
    )
]
POOL = [_response({"idle_vms": 14, "busy_vms": 2, "total_vms": 16, "min_pool_size": 0, "max_pool_size": 16})]
