# Made from mags/_async by scripts/generate_sync.py: edit that one.
"""Calls about images: what a sandbox's root file system can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from mags import wire
from mags._sync.connection import Connection

if TYPE_CHECKING:
    from mags.types import ImageList


class Images(Connection):
    def list_images(self) -> ImageList:
        """The images that `run` takes as `rootfs_type`, by name."""
        return cast("ImageList", self._call(wire.Request("GET", "/mags-images")))
