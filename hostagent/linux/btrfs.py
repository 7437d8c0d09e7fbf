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
from pathlib import Path
from uuid import UUID

SUBVOLUME_INODE = 256  # the root directory of every subvolume has this inode number

_PATH = struct.Struct("=q4088s")  # btrfs_ioctl_vol_args: fd, name
_SNAPSHOT = struct.Struct("=qQQ32s4040s")  # btrfs_ioctl_vol_args_v2: fd, transid, flags, unused, name
_QUOTA = struct.Struct("=QQ")  # btrfs_ioctl_quota_ctl_args: cmd, status
_QGROUP_CREATE = struct.Struct("=QQ")  # btrfs_ioctl_qgroup_create_args: create, qgroupid
_QGROUP_LIMIT = struct.Struct("=QQQQQQ")  # btrfs_ioctl_qgroup_limit_args: id, flags, max/max/rsv/rsv
_LOOKUP = struct.Struct("=QQ4080s")  # btrfs_ioctl_ino_lookup_args: treeid, objectid, name
_FS_INFO = struct.Struct("=QQ16s992s")  # btrfs_ioctl_fs_info_args: max_id, num_devices, fsid, rest


def _ioctl(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | 0x94 << 8 | number


_IOC_SUBVOL_CREATE = _ioctl(1, 14, _PATH.size)
_IOC_SNAP_DESTROY = _ioctl(1, 15, _PATH.size)
_IOC_INO_LOOKUP = _ioctl(3, 18, _LOOKUP.size)
_IOC_SNAP_CREATE_V2 = _ioctl(1, 23, _SNAPSHOT.size)
_IOC_FS_INFO = _ioctl(2, 31, _FS_INFO.size)
_IOC_QUOTA_CTL = _ioctl(3, 40, _QUOTA.size)
_IOC_QGROUP_CREATE = _ioctl(1, 42, _QGROUP_CREATE.size)
_IOC_QGROUP_LIMIT = _ioctl(2, 43, _QGROUP_LIMIT.size)
_SUBVOL_RDONLY = 2
_QUOTA_CTL_ENABLE = 1
_LIMIT_MAX_REFERENCED = 1


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


def quota_enable(directory: Path) -> None:
    """Turn quota groups on; on already is fine. A new subvolume gets the qgroup 0/<its id> by itself."""
    _call(directory, _IOC_QUOTA_CTL, _QUOTA.pack(_QUOTA_CTL_ENABLE, 0), f"quota enable {directory}")


def qgroup_limit(path: Path, limit_bytes: int) -> None:
    """Bound what the subvolume `path` may refer to. Writes beyond it fail with EDQUOT."""
    data = _QGROUP_LIMIT.pack(0, _LIMIT_MAX_REFERENCED, limit_bytes, 0, 0, 0)  # id 0: the subvolume itself
    _call(path, _IOC_QGROUP_LIMIT, data, f"qgroup limit {path}")


def qgroup_destroy(directory: Path, subvolume: int) -> bool:
    """Remove the qgroup of a destroyed subvolume. False while the kernel still drops the subvolume.
    Newer kernels (6.12 on) remove it themselves."""
    try:
        data = _QGROUP_CREATE.pack(0, subvolume)
        _call(directory, _IOC_QGROUP_CREATE, data, f"qgroup destroy 0/{subvolume}")
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        if error.errno != errno.ENOENT:
            raise
    return True


def qgroup_usage(fs_uuid: UUID, subvolume: int) -> tuple[int, int]:
    """Bytes a subvolume refers to, with those reserved for writes that are not committed yet; and its limit.
    FileNotFoundError where it has no qgroup."""
    directory = Path(f"/sys/fs/btrfs/{fs_uuid}/qgroups/0_{subvolume}")
    names = ("referenced", "rsv_data", "rsv_meta_pertrans", "rsv_meta_prealloc")
    used = sum(int((directory / name).read_text()) for name in names)
    return used, int((directory / "max_referenced").read_text())
