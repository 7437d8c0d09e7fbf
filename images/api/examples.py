"""What the API's documentation shows."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample

LIST = [
    OpenApiExample(
        "Images",
        value={
            "images": [
                {
                    "name": "standard",
                    "build": "standard-0123456789ab-20261123070000",
                    "builds": 2,
                    "size_bytes": 590_000_000,
                    "stored_bytes": 231_000_000,
                    "created_at": "2026-11-23T07:00:00.000Z",
                }
            ],
            "total": 1,
        },
        response_only=True,
    )
]
