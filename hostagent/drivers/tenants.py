"""A tenant's own read-only snapshots of images: sandboxes of two tenants share no page of the page cache."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path

from hostagent.drivers import builds
from hostagent.drivers.statefs import StateFs
from hostagent.errors import DriverError, ImageMissing
from hostagent.linux import btrfs
from hostagent.volumes import standing

UNUSED_S = 600.0  # a snapshot that nobody used for so long is removed


class TenantImages:
    """Knows which snapshots are in use. Its methods block for some ms: call them in a thread."""

    def __init__(self, fs: StateFs, *, is_tenant_image: bool) -> None:
        self._fs = fs
        self._is_tenant_image = is_tenant_image
        self._used_at: dict[Path, float] = {}
        self._lock = threading.Lock()

    def lower(self, tenant: str, image: str, build: str = "") -> Path:
        """The directory that a sandbox's root is laid over: of this very build, or of the present one."""
        path = self._lower(tenant, image, build)
        if build and builds.build_of(path) != build:
            raise DriverError(f"the image {image} was replaced just now", "try again")
        return path

    def _lower(self, tenant: str, image: str, build: str) -> Path:
        source = builds.find(self._fs.images, image, build)
        if source is None:
            what = f"build {build} of the image {image}" if build else f"image {image}"
            raise ImageMissing(
                f"there is no {what} on this host", "`hostagent image list` says what there is"
            )
        if not self._is_tenant_image:
            return source
        with self._lock:
            directory = self._fs.tenants / tenant
            directory.mkdir(mode=0o700, exist_ok=True)
            path = directory / f"{image}.{btrfs.subvolume_id(source)}"  # another id: the image was built anew
            self._used_at[path] = time.monotonic()
            if not path.exists():
                btrfs.subvolume_snapshot(source, path, is_read_only=True)
            return path

    def remove_unused(self, in_use: Iterable[Path], unused_s: float = UNUSED_S) -> None:
        """Mounted ones are named by `in_use`; of the others, those of which nobody asked for a while go."""
        keep = set(in_use)
        self._remove_builds(keep)
        before = time.monotonic() - unused_s
        with self._lock:
            for directory in self._fs.tenants.iterdir():
                for path in directory.iterdir():
                    if path not in keep and self._used_at.get(path, float("-inf")) <= before:
                        btrfs.subvolume_destroy(path)
                        self._used_at.pop(path, None)
                if not any(directory.iterdir()):
                    directory.rmdir()

    def _remove_builds(self, in_use: set[Path]) -> None:
        """Builds that were kept for volumes which are gone."""
        wanted = {(image.name, image.digest) for image in standing.needed(self._fs.root)}
        for kept in builds.kept(self._fs.images):
            # Without copies of their own, tenants may stand on what had the plain name when they began.
            is_free = in_use.isdisjoint((kept.path, self._fs.images / kept.name))
            if is_free and (kept.name, kept.build) not in wanted:
                btrfs.subvolume_destroy(kept.path)
