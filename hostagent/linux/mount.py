"""The mount API, one function per system call."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from hostagent.linux import syscall as sc

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUSER = 0x1000_0000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 4
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
FSCONFIG_CMD_RECONFIGURE = 7
FSPICK_CLOEXEC = 1

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_IDMAP = 0x0010_0000


class MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def unshare(flags: int) -> None:
    sc.check(sc.libc.unshare(flags), f"unshare({flags:#x})")


def mount(source: str, target: Path, fstype: str, flags: int, data: str = "") -> None:
    arguments = (source.encode(), os.fsencode(target), fstype.encode(), ctypes.c_ulong(flags), data.encode())
    sc.check(sc.libc.mount(*arguments), f"mount {fstype} {target}")


def umount2(target: Path, flags: int = 0) -> None:
    sc.check(sc.libc.umount2(os.fsencode(target), flags | UMOUNT_NOFOLLOW), f"umount2 {target}")


def open_tree_clone(path: Path) -> int:
    """A detached copy of the mount at `path`, without the mounts below it."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
    return sc.syscall(f"open_tree {path}", sc.SYS_OPEN_TREE, sc.AT_FDCWD, os.fsencode(path), flags)


def mount_setattr(fd: int, attr_set: int, userns_fd: int = 0) -> None:
    attr = MountAttr(attr_set=attr_set, userns_fd=userns_fd)
    size = ctypes.sizeof(attr)
    sc.syscall("mount_setattr", sc.SYS_MOUNT_SETATTR, fd, b"", AT_EMPTY_PATH, ctypes.byref(attr), size)


def mount_setattr_below(path: Path, attr_set: int) -> None:
    """Of the mount at `path` and all below it."""
    attr = MountAttr(attr_set=attr_set)
    flags, size = AT_RECURSIVE, ctypes.sizeof(attr)
    arguments = (sc.AT_FDCWD, os.fsencode(path), flags, ctypes.byref(attr), size)
    sc.syscall(f"mount_setattr {path}", sc.SYS_MOUNT_SETATTR, *arguments)


def move_mount(fd: int, target: Path) -> None:
    """Attach a detached mount at `target`."""
    what = f"move_mount {target}"
    sc.syscall(what, sc.SYS_MOVE_MOUNT, fd, b"", sc.AT_FDCWD, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH)


def fsopen(fstype: str) -> int:
    return sc.syscall(f"fsopen {fstype}", sc.SYS_FSOPEN, fstype.encode(), FSOPEN_CLOEXEC)


def fsconfig_string(fd: int, key: str, value: str) -> None:
    what = f"fsconfig {key}={value}"
    sc.syscall(what, sc.SYS_FSCONFIG, fd, FSCONFIG_SET_STRING, key.encode(), value.encode(), 0)


def fsconfig_flag(fd: int, key: str) -> None:
    sc.syscall(f"fsconfig {key}", sc.SYS_FSCONFIG, fd, FSCONFIG_SET_FLAG, key.encode(), None, 0)


def fsconfig_create(fd: int) -> None:
    try:
        sc.syscall("fsconfig CMD_CREATE", sc.SYS_FSCONFIG, fd, FSCONFIG_CMD_CREATE, None, None, 0)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} ({fscontext_log(fd)})") from error


def fspick(path: Path) -> int:
    """The mounted file system at `path`, to be configured anew."""
    return sc.syscall(f"fspick {path}", sc.SYS_FSPICK, sc.AT_FDCWD, os.fsencode(path), FSPICK_CLOEXEC)


def fsconfig_reconfigure(fd: int) -> None:
    sc.syscall("fsconfig CMD_RECONFIGURE", sc.SYS_FSCONFIG, fd, FSCONFIG_CMD_RECONFIGURE, None, None, 0)


def fscontext_log(fd: int) -> str:
    """What the file system itself said about a failed step."""
    lines: list[str] = []
    while True:
        try:
            line = os.read(fd, 4096)
        except OSError:
            return "; ".join(lines)
        lines.append(line.decode(errors="replace").strip())


def fsmount(fd: int, attributes: int) -> int:
    return sc.syscall("fsmount", sc.SYS_FSMOUNT, fd, FSMOUNT_CLOEXEC, attributes)
