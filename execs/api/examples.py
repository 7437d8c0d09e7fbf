"""What the API's documentation shows."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

_ID = "0c1f6a6e5d3b4a0fb7c3d0a7a6f0b1e2"
_END = {"exit_code": 0, "reason": "exited", "message": None, "stdout_bytes": 6, "stderr_bytes": 0}
_EXEC: dict[str, Any] = {
    "exec_id": _ID,
    "job_id": "5f0c9f6e-3a53-4d0e-9a55-0d9b2a3f7c11",
    "vm_id": "k3v9x0a1b2c3d4e5",
    "command": "echo hello",
    "terminal": False,
    "timeout": 30,
    "origin": "api",
    "token": "laptop",
    "state": "ended",
    **_END,
    "created_at": "2026-11-23T07:00:00.000Z",
    "started_at": "2026-11-23T07:00:00.011Z",
    "ended_at": "2026-11-23T07:00:00.019Z",
}


def _request(value: dict[str, Any]) -> OpenApiExample:
    return OpenApiExample("request", value=value, request_only=True)


def _response(value: dict[str, Any]) -> OpenApiExample:
    return OpenApiExample("response", value=value, response_only=True, status_codes=["200"])


RUN = [
    _request({"command": "echo hello", "timeout": 30}),
    _response(
        {
            "exec_id": _ID,
            "state": "ended",
            "stdout": "hello\n",
            "stderr": "",
            **_END,
            "truncated_bytes": 0,
            "next_offsets": {"stdout": 6, "stderr": 0},
        }
    ),
]
EXEC = [_response(_EXEC)]
LIST = [_response({"execs": [_EXEC], "total": 1, "page": 1, "page_size": 20})]
OUTPUT = [
    _response(
        {
            "exec_id": _ID,
            "stream": "stdout",
            "offset": 0,
            "data": "hello\n",
            "gap_bytes": 0,
            "next_offset": 6,
            "end": _END,
        }
    )
]
SIGNAL = [_request({"signal": "INT"}), _response({"exec_id": _ID, "signal": "INT"})]
