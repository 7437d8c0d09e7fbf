"""btrfs: subvolumes and quota groups by ioctl, the rest by `mkfs.btrfs`.

A qgroup's `referenced` is what is visible in one subvolume, data and metadata together: empty files count as
well, so the limit bounds inodes too. It is brought up to date at each transaction commit (30 s at most).
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

SUBVOLUME_INODE = 256  # the root directory of every subvolume has this inode number
TOP_LEVEL = 5  # id of the subvolume that all others are in

_PATH = struct.Struct("=q4088s")  # btrfs_ioctl_vol_args: fd, name
_SNAPSHOT = struct.Struct("=qQQ32s4040s")  # btrfs_ioctl_vol_args_v2: fd, transid, flags, unused, name
_QUOTA = struct.Struct("=QQ")  # btrfs_ioctl_quota_ctl_args: cmd, status
_QUOTA_RESCAN_BYTES = 64  # btrfs_ioctl_quota_rescan_args: nothing in it is ours to set
_QGROUP_CREATE = struct.Struct("=QQ")  # btrfs_ioctl_qgroup_create_args: create, qgroupid
_QGROUP_LIMIT = struct.Struct("=QQQQQQ")  # btrfs_ioctl_qgroup_limit_args: id, flags, max/max/rsv/rsv
_LOOKUP = struct.Struct("=QQ4080s")  # btrfs_ioctl_ino_lookup_args: treeid, objectid, name
# btrfs_ioctl_get_subvol_info_args: treeid, name, parent_id, dirid, generation, flags, uuid, parent_uuid,
# received_uuid, ctransid, otransid, stransid, rtransid, four times, reserved
_SUBVOL_INFO = struct.Struct("=Q256sQQQQ16s16s16sQQQQ64s64s")
_RECEIVED = struct.Struct("=16sQQ16s16sQ128s")  # btrfs_ioctl_received_subvol_args: uuid, stransid, rtransid
_FLAGS = struct.Struct("=Q")
_GENERATION = struct.Struct("=q")  # the kernel writes four bytes of what the ioctl calls a long
_FS_INFO = struct.Struct("=QQ16s992s")  # btrfs_ioctl_fs_info_args: max_id, num_devices, fsid, rest


def _ioctl(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | 0x94 << 8 | number


_IOC_SUBVOL_CREATE = _ioctl(1, 14, _PATH.size)
_IOC_SNAP_DESTROY = _ioctl(1, 15, _PATH.size)
_IOC_INO_LOOKUP = _ioctl(3, 18, _LOOKUP.size)
_IOC_SNAP_CREATE_V2 = _ioctl(1, 23, _SNAPSHOT.size)
_IOC_FS_INFO = _ioctl(2, 31, _FS_INFO.size)
_IOC_SUBVOL_GETFLAGS = _ioctl(2, 25, _FLAGS.size)
_IOC_SUBVOL_SETFLAGS = _ioctl(1, 26, _FLAGS.size)
_IOC_SET_RECEIVED_SUBVOL = _ioctl(3, 37, _RECEIVED.size)
_IOC_GET_SUBVOL_INFO = _ioctl(2, 60, _SUBVOL_INFO.size)
_IOC_QUOTA_CTL = _ioctl(3, 40, _QUOTA.size)
_IOC_QGROUP_CREATE = _ioctl(1, 42, _QGROUP_CREATE.size)
_IOC_QUOTA_RESCAN = _ioctl(1, 44, _QUOTA_RESCAN_BYTES)
_IOC_QGROUP_LIMIT = _ioctl(2, 43, _QGROUP_LIMIT.size)
_FS_IOC_GETVERSION = 2 << 30 | _GENERATION.size << 16 | ord("v") << 8 | 1
_SUBVOL_RDONLY = 2
_QUOTA_CTL_ENABLE = 1
_LIMIT_MAX_REFERENCED = 1


@dataclass(frozen=True, slots=True)
class SubvolumeInfo:
    id: int
    generation: int  # of the last transaction that changed its tree, making a snapshot of it included
    uuid: UUID
    received_uuid: UUID | None  # of the subvolume that this one was received as a copy of
    ctransid: int  # of the last transaction that changed an inode
    stransid: int  # the ctransid of the subvolume it is a copy of

    @property
    def stream_uuid(self) -> UUID:
        """How `btrfs send` names it."""
        return self.received_uuid or self.uuid

    @property
    def stream_transid(self) -> int:
        return self.stransid if self.received_uuid else self.ctransid


def _call(directory: Path, request: int, data: bytes, what: str) -> bytes:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    buffer = bytearray(data)  # mutable: fcntl refuses to pass more than 1 KiB by value
    try:
        fcntl.ioctl(fd, request, buffer)
    except OSError as error:
        raise OSError(error.errno, f"{what}: {error.strerror}") from error
    finally:
        os.close(fd)
    return bytes(buffer)


def is_btrfs(directory: Path) -> bool:
    try:
        uuid(directory)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP):
            return False
        raise
    return True


def uuid(directory: Path) -> UUID:
    """The file system's id; its counters are in /sys/fs/btrfs/<uuid>/."""
    answer = _call(directory, _IOC_FS_INFO, bytes(_FS_INFO.size), f"fs info {directory}")
    return UUID(bytes=_FS_INFO.unpack(answer)[2])


def mkfs(device: Path) -> None:
    subprocess.run(["mkfs.btrfs", "--quiet", "--metadata", "single", os.fspath(device)], check=True)


def inode_generation(directory: Path) -> int:
    """Tells an inode from others that have its number in other subvolumes; a snapshot's is the same."""
    answer = _call(directory, _FS_IOC_GETVERSION, bytes(_GENERATION.size), f"generation {directory}")
    return int(_GENERATION.unpack(answer)[0])


def is_subvolume(path: Path) -> bool:
    """Whether `path`, which lies on btrfs, is the root of a subvolume."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return status.st_ino == SUBVOLUME_INODE


def subvolume_id(path: Path) -> int:
    answer = _call(path, _IOC_INO_LOOKUP, _LOOKUP.pack(0, SUBVOLUME_INODE, b""), f"subvolume id {path}")
    return int(_LOOKUP.unpack(answer)[0])


def inode_path(subvolume: Path, inode: int) -> bytes:
    """One of the paths of an inode, from the root of its subvolume. FileNotFoundError if there is none."""
    answer = _call(subvolume, _IOC_INO_LOOKUP, _LOOKUP.pack(0, inode, b""), f"inode {inode} of {subvolume}")
    name: bytes = _LOOKUP.unpack(answer)[2]
    return name.split(b"\0")[0].rstrip(b"/")


def subvolume_create(path: Path) -> None:
    _call(path.parent, _IOC_SUBVOL_CREATE, _PATH.pack(0, os.fsencode(path.name)), f"subvolume create {path}")


def subvolume_snapshot(source: Path, path: Path, *, is_read_only: bool) -> None:
    flags = _SUBVOL_RDONLY if is_read_only else 0
    fd = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        data = _SNAPSHOT.pack(fd, 0, flags, b"", os.fsencode(path.name))
        _call(path.parent, _IOC_SNAP_CREATE_V2, data, f"subvolume snapshot {source} {path}")
    finally:
        os.close(fd)


def subvolume_destroy(path: Path) -> None:
    """Unlink a subvolume; the kernel frees its extents in the background. Gone already is fine."""
    try:
        data = _PATH.pack(0, os.fsencode(path.name))
        _call(path.parent, _IOC_SNAP_DESTROY, data, f"subvolume destroy {path}")
    except FileNotFoundError:
        return


def subvolume_info(path: Path) -> SubvolumeInfo:
    answer = _call(path, _IOC_GET_SUBVOL_INFO, bytes(_SUBVOL_INFO.size), f"subvolume info {path}")
    found = _SUBVOL_INFO.unpack(answer)
    received = UUID(bytes=found[8])
    return SubvolumeInfo(
        id=found[0],
        generation=found[4],
        uuid=UUID(bytes=found[6]),
        received_uuid=received if received.int else None,
        ctransid=found[9],
        stransid=found[11],
    )


def subvolume_set_received(path: Path, uuid: UUID, stransid: int) -> None:
    """Make a writable subvolume known as a copy of another one, as `btrfs receive` does."""
    data = _RECEIVED.pack(uuid.bytes, stransid, 0, b"", b"", 0, b"")
    _call(path, _IOC_SET_RECEIVED_SUBVOL, data, f"set received subvolume {path}")


def subvolume_set_read_only(path: Path) -> None:
    answer = _call(path, _IOC_SUBVOL_GETFLAGS, bytes(_FLAGS.size), f"subvolume flags {path}")
    flags = _FLAGS.unpack(answer)[0] | _SUBVOL_RDONLY
    _call(path, _IOC_SUBVOL_SETFLAGS, _FLAGS.pack(flags), f"subvolume read-only {path}")


def quota_enable(directory: Path) -> None:
    """Turn quota groups on; on already is fine. A new subvolume gets the qgroup 0/<its id> by itself."""
    _call(directory, _IOC_QUOTA_CTL, _QUOTA.pack(_QUOTA_CTL_ENABLE, 0), f"quota enable {directory}")


def qgroup_limit(path: Path, limit_bytes: int) -> None:
    """Bound what the subvolume `path` may refer to. Writes beyond it fail with EDQUOT."""
    data = _QGROUP_LIMIT.pack(0, _LIMIT_MAX_REFERENCED, limit_bytes, 0, 0, 0)  # id 0: the subvolume itself
    _call(path, _IOC_QGROUP_LIMIT, data, f"qgroup limit {path}")


def is_quota_wrong(directory: Path) -> bool:
    """Whether the kernel has given up counting. Kernels before 5.17 do not say."""
    mark = _qgroups_of(uuid(directory)) / "inconsistent"
    return mark.exists() and mark.read_text().strip() != "0"


def quota_mend(directory: Path) -> None:
    """Have the kernel count anew, in the background, where it has marked its numbers as wrong: as long as
    they are, no limit holds."""
    if not is_quota_wrong(directory):
        return
    try:
        _call(directory, _IOC_QUOTA_RESCAN, bytes(_QUOTA_RESCAN_BYTES), f"quota rescan {directory}")
    except OSError as error:
        if error.errno != errno.EINPROGRESS:
            raise


def qgroup_destroy(directory: Path, subvolume: int) -> bool:
    """Remove the qgroup of a destroyed subvolume. False while the kernel still drops the subvolume, or has
    not counted that: a qgroup that is removed before makes all numbers of the file system wrong.
    Newer kernels (6.12 on) remove it themselves."""
    counted = _qgroups_of(uuid(directory)) / f"0_{subvolume}"
    try:
        if any(int((counted / name).read_text()) for name in ("referenced", "exclusive")):
            return False
        data = _QGROUP_CREATE.pack(0, subvolume)
        _call(directory, _IOC_QGROUP_CREATE, data, f"qgroup destroy 0/{subvolume}")
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        if error.errno not in (
            errno.ENOENT,
            errno.ENODEV,
        ):  # ENODEV: of a file of /sys that goes while it is read
            raise
    return True


def _qgroups_of(fs_uuid: UUID) -> Path:
    return Path(f"/sys/fs/btrfs/{fs_uuid}/qgroups")


def qgroups(fs_uuid: UUID) -> list[int]:
    """Ids of the subvolumes that have a qgroup, and of those that are gone and had one."""
    return sorted(int(path.name[2:]) for path in _qgroups_of(fs_uuid).glob("0_*"))


def qgroup_usage(fs_uuid: UUID, subvolume: int) -> tuple[int, int]:
    """Bytes a subvolume refers to, with those reserved for writes that are not committed yet; and its limit.
    FileNotFoundError where it has no qgroup."""
    directory = _qgroups_of(fs_uuid) / f"0_{subvolume}"
    names = ("referenced", "rsv_data", "rsv_meta_pertrans", "rsv_meta_prealloc")
    used = sum(int((directory / name).read_text()) for name in names)
    return used, int((directory / "max_referenced").read_text())
