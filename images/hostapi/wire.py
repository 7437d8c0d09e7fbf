"""The wire form of builds in the host API."""

from __future__ import annotations

from typing import Any

from images.models import Build
from images.selectors import heads
from workspaces.records import unix_ms


def build_object(build: Build) -> dict[str, Any]:
    """A build read with its image."""
    return {
        "image": build.image.name,
        "build": build.name,
        "number": build.number,
        "manifest": build.manifest,
        "made_at": unix_ms(build.made_at),
    }


def head_objects() -> list[dict[str, Any]]:
    """What a host is to have of each image."""
    return [build_object(build) for build in heads()]
