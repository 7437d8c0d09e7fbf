"""The wire form of execs, for REST and WebSocket alike."""

from __future__ import annotations

import base64
from typing import Any

from execs.models import Exec
from execs.states import ExecState
from jobs.wire import stamp


def exec_object(row: Exec) -> dict[str, Any]:
    return {
        "exec_id": row.pk.hex,
        "job_id": str(row.job_id),
        "vm_id": row.sandbox_id,
        "command": row.command or None,
        "terminal": row.is_terminal,
        "timeout": row.timeout_s,
        "origin": row.origin,
        "token": row.token.name if row.token else None,
        "state": row.state,
        "reason": row.reason or None,
        "message": row.message or None,
        "exit_code": row.exit_code,
        "stdout_bytes": row.stdout_bytes,
        "stderr_bytes": row.stderr_bytes,
        "created_at": stamp(row.created_at),
        "started_at": stamp(row.started_at),
        "ended_at": stamp(row.ended_at),
    }


def end_object(row: Exec) -> dict[str, Any] | None:
    """How it ended; None while it has not."""
    if row.state != ExecState.ENDED:
        return None
    return {
        "exit_code": row.exit_code,
        "reason": row.reason,
        "message": row.message or None,
        "stdout_bytes": row.stdout_bytes,
        "stderr_bytes": row.stderr_bytes,
    }


def text_fields(name: str, data: bytes) -> dict[str, str]:
    """Bytes as text, and with `<name>_base64` where the text is not exact."""
    text = data.decode("utf-8", "replace")
    if text.encode() == data:
        return {name: text}
    return {name: text, f"{name}_base64": base64.b64encode(data).decode("ascii")}
