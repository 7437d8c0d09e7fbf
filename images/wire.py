"""The wire form of images for people."""

from __future__ import annotations

from typing import Any

from images.models import Image
from images.selectors import BUILT_IN, image_list
from workspaces.wire import stamp


def image_objects() -> list[dict[str, Any]]:
    """All that a job may name, by name: what is published, and what every host can build."""
    found = {image.name: _object(image) for image in image_list()}
    nothing = dict.fromkeys(("build", "size_bytes", "stored_bytes", "created_at"))
    found.setdefault(BUILT_IN, {"name": BUILT_IN, "builds": 0, **nothing})
    return [found[name] for name in sorted(found)]


def _object(image: Image) -> dict[str, Any]:
    head = image.head
    return {
        "name": image.name,
        "build": head.name if head else None,
        "builds": image.builds_count,  # type: ignore[attr-defined]  # an annotation
        "size_bytes": head.tree_bytes if head else None,
        "stored_bytes": head.stored_bytes if head else None,
        "created_at": stamp(head.committed_at if head else None),
    }
