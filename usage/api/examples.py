"""What the API's documentation shows."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

_UNMETERED: dict[str, Any] = {
    "cpu_seconds": None,
    "memory_gb_hours": None,
    "received_bytes": None,
    "sent_bytes": None,
}
_USED: dict[str, Any] = {
    "vm_seconds": 5400.25,
    "asleep_seconds": 3600.0,
    "storage_gb_hours": 2.4,
    **_UNMETERED,
}

USAGE = [
    OpenApiExample(
        "One day",
        response_only=True,
        media_type="application/json",
        value={
            "window_days": 1,
            "first_day": "2026-11-23",
            "last_day": "2026-11-23",
            "as_of": "2026-11-23T07:30:00.123Z",
            "total_jobs": 12,
            **_USED,
            "storage_bytes": 343597383,
            "by_day": [{"day": "2026-11-23", "jobs": 12, **_USED}],
            "by_workspace": [{"workspace": "web", "jobs": 12, **_USED, "storage_bytes": 343597383}],
            "workspaces_total": 1,
            "by_token": [
                {
                    "token_id": 7,
                    "name": "laptop",
                    "prefix": "mags_Xy12",
                    "revoked": False,
                    "jobs": 12,
                    **_USED,
                    "storage_gb_hours": None,
                }
            ],
            "tokens_total": 1,
            "by_cron": [],
        },
    )
]
