"""A tenant's own read-only snapshots of images: sandboxes of two tenants share no page of the page cache."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path

from hostagent.drivers.statefs import StateFs
from hostagent.errors import DriverError
from hostagent.linux import btrfs

UNUSED_S = 600.0  # a snapshot that nobody used for so long is removed


class TenantImages:
    """Knows which snapshots are in use. Its methods block for some ms: call them in a thread."""

    def __init__(self, fs: StateFs, *, is_tenant_image: bool) -> None:
        self._fs = fs
        self._is_tenant_image = is_tenant_image
        self._used_at: dict[Path, float] = {}
        self._lock = threading.Lock()

    def lower(self, tenant: str, image: str) -> Path:
        """The directory that a sandbox's root is laid over."""
        source = self._fs.images / image
        if not btrfs.is_subvolume(source):
            raise DriverError(
                f"there is no image {image!r} on this host", "build it: `hostagent image build`"
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
        before = time.monotonic() - unused_s
        with self._lock:
            for directory in self._fs.tenants.iterdir():
                for path in directory.iterdir():
                    if path not in keep and self._used_at.get(path, float("-inf")) <= before:
                        btrfs.subvolume_destroy(path)
                        self._used_at.pop(path, None)
                if not any(directory.iterdir()):
                    directory.rmdir()
