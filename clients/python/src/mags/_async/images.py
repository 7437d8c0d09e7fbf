"""Calls about images: what a sandbox's root file system can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from mags import wire
from mags._async.connection import AsyncConnection

if TYPE_CHECKING:
    from mags.types import ImageList


class Images(AsyncConnection):
    async def list_images(self) -> ImageList:
        """The images that `run` takes as `rootfs_type`, by name."""
        return cast("ImageList", await self._call(wire.Request("GET", "/mags-images")))
