"""One volume on this host. Everything here blocks for some ms: call it in a thread, one call at a time.

    state.json        what `live` began from; there from the first step to the last of the volume's life
    live              writable subvolume: upper/ and work/ of the overlay
    versions/<sha256>         read-only snapshot of a version, by its manifest's sum
    versions/<sha256>.json    the manifest
    versions/pending          a snapshot that is not a version yet; pending.json says of what

Names that end in `.new` or `.old` are half-made: `mend` removes them.
"""

from __future__ import annotations

import errno
import secrets
import shutil
import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hostagent.linux import btrfs
from hostagent.linux.files import replace_durably
from hostagent.volumes import manifest as manifests
from hostagent.volumes.changes import is_changed
from hostagent.volumes.errors import VolumeMissing, VolumeTooFull
from hostagent.volumes.manifest import Image, Manifest
from hostagent.volumes.subvolumes import copy_of, destroy

_NEW, _OLD = ".new", ".old"
_making = threading.Lock()


class _State(msgspec.Struct):
    head: str | None = None  # the version that `live` began from, or was last saved as
    ctransid: int = 0  # of that version's snapshot here: `live` has another one when it was changed
    live: int = 0  # subvolume id: which of `live`, `live.new` and `live.old` counts


class _Pending(msgspec.Struct):
    parent: str | None
    made_at: int
    image: Image | None
    version: str | None = None  # set when it is about to become this one


@dataclass(frozen=True, slots=True)
class Version:
    """A version that is on this host."""

    sha256: str
    path: Path
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Pending:
    """A snapshot of `live` that is to be sent. The same after a restart of the agent."""

    path: Path
    parent: Version | None
    made_at: int  # Unix ms
    image: Image | None


@dataclass(frozen=True, slots=True)
class Volume:
    path: Path

    @property
    def live(self) -> Path:
        return self.path / "live"

    @property
    def versions(self) -> Path:
        return self.path / "versions"

    @property
    def exists(self) -> bool:
        return (self.path / "state.json").exists()

    @property
    def head(self) -> str | None:
        """The version that the next one builds on."""
        return self._state().head

    def make(self) -> None:
        """An empty place for versions and `live`; there already is fine."""
        with _making:  # two restores may begin at once
            self.versions.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.exists:
                self._write("state.json", _State())

    def make_live(self, version: Version | None, limit_bytes: int) -> None:
        """Begin from a version on this host, or empty. An older `live` is replaced."""
        fresh, stale = self.live.with_suffix(_NEW), self.live.with_suffix(_OLD)
        destroy(fresh)
        destroy(stale)
        if version is None:
            btrfs.subvolume_create(fresh)
            state = _State()
        else:
            btrfs.subvolume_snapshot(version.path, fresh, is_read_only=False)
            # Before anything is changed: what comes in the same transaction would have the same number.
            state = _State(version.sha256, btrfs.subvolume_info(fresh).ctransid)
        state.live = btrfs.subvolume_id(fresh)
        _empty_work(fresh)
        btrfs.qgroup_limit(fresh, limit_bytes)
        self._write("state.json", state)
        self._settle_live(state)

    def take(self, made_at: int, image: Image | None) -> Pending | None:
        """Snapshot `live`, which may be in use. None when nothing was changed since its head.

        A snapshot writes out what is in the caches of `live`'s files, what programs wrote through mappings
        included; so it, not `live`, tells what was changed. `syncfs` would wait for what all other sandboxes
        wrote."""
        if (pending := self.pending()) is not None:
            return pending
        state = self._state()
        self._write("pending.json", _Pending(state.head, made_at, image))
        btrfs.subvolume_snapshot(self.live, self.versions / "pending", is_read_only=True)
        if not _is_changed(self.versions / "pending", state):
            self.drop()
            return None
        return self.pending()

    def looks_changed(self) -> bool:
        """Whether something was written since the head, as far as is on disk: `take` knows for sure."""
        return _is_changed(self.live, self._state())

    def pending(self) -> Pending | None:
        path = self.versions / "pending"
        if not btrfs.is_subvolume(path):
            return None
        found = self._read_pending()
        return Pending(path, self._stream_parent(found.parent), found.made_at, found.image)

    def unchain(self) -> None:
        """The pending snapshot builds on nothing: whoever sends it again makes the same full stream of it."""
        found = self._read_pending()
        found.parent = None
        self._write("pending.json", found)

    def _stream_parent(self, sha256: str | None) -> Version | None:
        """The version, if a stream can build on what is here of it: not on one that was lifted."""
        if sha256 is None or not self.has(sha256):
            return None
        version = self.version(sha256)
        known_as = str(btrfs.subvolume_info(version.path).stream_uuid)
        return version if version.manifest.subvolume == known_as else None

    def keep(self, data: bytes) -> Version:
        """The pending snapshot is the version with this manifest now, and the head."""
        sha256 = manifests.name(data)
        found = self._read_pending()
        found.version = sha256
        replace_durably(self.versions / f"{sha256}.json", data)
        self._write("pending.json", found)
        (self.versions / "pending").rename(self.versions / sha256)
        return self._kept(sha256)

    def drop(self) -> None:
        """Forget the pending snapshot."""
        destroy(self.versions / "pending")
        (self.path / "pending.json").unlink(missing_ok=True)

    def adopt(self, subvolume: Path, data: bytes) -> Version:
        """Make a copy of the read-only `subvolume` the version with this manifest. There already is fine."""
        sha256 = manifests.name(data)
        path = self.versions / sha256
        if not self.has(sha256):
            mark = f".{secrets.token_hex(4)}"  # another restore of it may be here, too
            fresh = path.with_suffix(f"{mark}{_NEW}")
            replace_durably(path.with_suffix(".json"), data, mark)
            copy_of(subvolume, fresh)
            try:
                fresh.rename(path)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                destroy(fresh)
        return self.version(sha256)

    def adopt_version(self, version: Version) -> Version:
        """Have a copy of a version of another volume."""
        return self.adopt(version.path, version.path.with_suffix(".json").read_bytes())

    def has(self, sha256: str) -> bool:
        path = self.versions / sha256
        return btrfs.is_subvolume(path) and path.with_suffix(".json").exists()

    def version(self, sha256: str) -> Version:
        if not self.has(sha256):
            raise VolumeMissing(f"version {sha256[:12]} is not on this host", "restore it")
        path = self.versions / sha256
        return Version(sha256, path, manifests.decode(path.with_suffix(".json").read_bytes()))

    def local_versions(self) -> list[str]:
        return sorted(path.stem for path in self.versions.glob("*.json") if self.has(path.stem))

    def retain(self, wanted: Collection[str]) -> None:
        """Remove all versions from this host but `wanted` and the head."""
        for sha256 in set(self.local_versions()) - {*wanted, self.head}:
            path = self.versions / sha256
            destroy(path)
            path.with_suffix(".json").unlink()

    def resize(self, limit_bytes: int) -> None:
        """May be done while `live` is in use."""
        used, _ = self.usage()
        if used > limit_bytes:
            raise VolumeTooFull(
                f"the volume holds {used} bytes, more than {limit_bytes}", "remove files first"
            )
        btrfs.qgroup_limit(self.live, limit_bytes)

    def usage(self) -> tuple[int, int]:
        """Bytes that `live` refers to, and its limit."""
        return btrfs.qgroup_usage(btrfs.uuid(self.path), btrfs.subvolume_info(self.live).id)

    def delete(self) -> None:
        (self.path / "state.json").unlink(missing_ok=True)  # from here on it is half-made
        if not self.path.exists():
            return
        for path in (*self.path.glob("live*"), *self.versions.glob("*")):
            destroy(path)
        shutil.rmtree(self.path)

    def mend(self) -> None:
        """Finish or undo what a killed agent was at."""
        if not self.exists:
            self.delete()
            return
        self._settle_live(self._state())
        self._mend_pending()
        whole = {"pending", *self.local_versions()}
        for path in self.versions.iterdir():
            if path.stem not in whole or path.suffix == _NEW:
                destroy(path)

    def _settle_live(self, state: _State) -> None:
        """The one that counts gets its name, the others go."""
        fresh, stale = self.live.with_suffix(_NEW), self.live.with_suffix(_OLD)
        if btrfs.is_subvolume(fresh) and btrfs.subvolume_id(fresh) == state.live:
            if self.live.exists():
                self.live.rename(stale)
            fresh.rename(self.live)
        destroy(fresh)
        destroy(stale)

    def _mend_pending(self) -> None:
        is_there = btrfs.is_subvolume(self.versions / "pending")
        try:
            found = self._read_pending()
        except (FileNotFoundError, msgspec.DecodeError):
            self.drop()
            return
        if is_there:
            return
        if found.version and self.has(found.version):
            self._kept(found.version)
        else:
            self.drop()

    def _kept(self, sha256: str) -> Version:
        version = self.version(sha256)
        ctransid = btrfs.subvolume_info(version.path).ctransid
        self._write("state.json", _State(sha256, ctransid, self._state().live))
        self.drop()
        return version

    def _state(self) -> _State:
        try:
            return msgspec.json.decode((self.path / "state.json").read_bytes(), type=_State)
        except FileNotFoundError as error:
            raise VolumeMissing(f"there is no volume {self.path.name} on this host") from error

    def _read_pending(self) -> _Pending:
        return msgspec.json.decode((self.path / "pending.json").read_bytes(), type=_Pending)

    def _write(self, name: str, value: object) -> None:
        replace_durably(self.path / name, msgspec.json.encode(value))


def _is_changed(files: Path, state: _State) -> bool:
    """Whether there is no version yet, or its files are others."""
    if state.head is None:
        return True
    return btrfs.subvolume_info(files).ctransid != state.ctransid and is_changed(files, state.ctransid)


def _empty_work(live: Path) -> None:
    """overlayfs wants its `work` empty and of its own making."""
    (live / "upper").mkdir(mode=0o755, exist_ok=True)
    shutil.rmtree(live / "work", ignore_errors=True)
    (live / "work").mkdir(mode=0o755)
