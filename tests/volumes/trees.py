"""Random trees of everything that a sandbox can leave behind, random edits, and what two trees differ in."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import random
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hostagent.linux.files import punch_hole

PAGE = 4096
LONGEST = 255
MOVABLE_BYTES = 2500  # so that no path is too long after a few renames
SPARSE_BYTES = 2**63 - 1
FICLONE = 0x40049409


Tree = dict[str, tuple[object, ...]]
Step = Callable[[], None]


@dataclass
class Gardener:
    """Makes and edits a tree below `root`. The same seed gives the same tree."""

    root: Path
    seed: int
    random: random.Random = field(init=False)
    count: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def plant(self) -> None:
        """One of each kind, in a few directories."""
        for kind in (self.directory, self.directory, *self._makers()):
            kind()

    def edit(self, times: int) -> None:
        for _ in range(times):
            self.random.choice([*self._makers(), *self._changers()])()

    def _makers(self) -> list[Step]:
        return [
            self.file, self.directory, self.symlink, self.device, self.fifo, self.socket, self.hard_links,
            self.sparse, self.huge, self.set_user_id, self.whiteout, self.opaque, self.deep, self.empty,
        ]  # fmt: skip

    def _changers(self) -> list[Step]:
        return [
            self.write, self.write, self.truncate, self.punch, self.extend, self.rename, self.rename,
            self.swap, self.remove, self.remove, self.chmod, self.chown, self.xattr, self.no_xattr,
            self.times, self.clone, self.link, self.replace_kind,
        ]  # fmt: skip

    def name(self) -> str:
        self.count += 1
        odd = [
            b"plain",
            b"\xff\xfe\n\\ ",
            "ä\u202e".encode(),
            b"-rf",
            b"o257-8-0",
            b"\x01" * (LONGEST - 12),
            b"..x",
        ]
        return os.fsdecode(b"%s%d" % (self.random.choice(odd), self.count))

    def place(self) -> Path:
        return self.random.choice(self.directories()) / self.name()

    def directories(self) -> list[Path]:
        return [self.root, *(path for path, status in self._paths() if stat.S_ISDIR(status.st_mode))]

    def files(self) -> list[Path]:
        return [path for path, status in self._paths() if stat.S_ISREG(status.st_mode)]

    def any_path(self) -> Path | None:
        paths = [path for path, _ in self._paths()]
        return self.random.choice(paths) if paths else None

    def _paths(self) -> list[tuple[Path, os.stat_result]]:
        found = [(path, status) for path, status in walk(self.root) if path != self.root]
        return [(path, status) for path, status in found if len(os.fsencode(path)) < MOVABLE_BYTES]

    # makers

    def file(self) -> None:
        self.place().write_bytes(self.random.randbytes(self.random.choice([1, 100, 5000, 70000])))

    def empty(self) -> None:
        self.place().touch()

    def directory(self) -> None:
        self.place().mkdir(self.random.choice([0o755, 0o700, 0o1777, 0o2775]))

    def symlink(self) -> None:
        target = self.random.choice([b"/etc/passwd", b"..", b"../" * 20 + b"etc", b"\xff" * 200, b"x" * 3000])
        self.place().symlink_to(os.fsdecode(target))

    def device(self) -> None:
        kind = self.random.choice([stat.S_IFCHR, stat.S_IFBLK])
        os.mknod(self.place(), kind | 0o640, os.makedev(self.random.choice([1, 7, 259]), 3))

    def whiteout(self) -> None:
        os.mknod(self.place(), stat.S_IFCHR, os.makedev(0, 0))

    def fifo(self) -> None:
        os.mkfifo(self.place(), 0o604)

    def socket(self) -> None:
        os.mknod(self.place(), stat.S_IFSOCK | 0o755)

    def hard_links(self) -> None:
        first = self.place()
        first.write_bytes(b"linked")
        for _ in range(self.random.randint(1, 30)):
            self.place().hardlink_to(first)

    def sparse(self) -> None:
        with self.place().open("xb") as file:
            for _ in range(3):
                file.seek(self.random.randrange(64) * 16 * PAGE)
                file.write(self.random.randbytes(PAGE))
            file.truncate(80 * 16 * PAGE)

    def huge(self) -> None:
        with self.place().open("xb") as file:
            file.truncate(SPARSE_BYTES)
            os.pwrite(file.fileno(), b"far", 2**62)

    def set_user_id(self) -> None:
        path = self.place()
        path.write_bytes(b"#!")
        os.chown(path, 1000, 1001)
        path.chmod(0o6755)
        os.setxattr(path, b"security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))

    def opaque(self) -> None:
        path = self.place()
        path.mkdir()
        for name in (b"trusted.overlay.opaque", b"user.overlay.opaque", b"trusted.overlay.origin"):
            os.setxattr(path, name, b"y")

    def deep(self) -> None:
        path = self.place()
        for _ in range(30):
            path.mkdir()
            path /= "d"
        path.touch()

    # changers

    def write(self) -> None:
        if files := self.files():
            path = self.random.choice(files)
            size = min(path.stat().st_size, 1 << 20)
            with path.open("r+b") as file:
                file.seek(self.random.randrange(size + 1))
                file.write(self.random.randbytes(self.random.choice([1, 3000, PAGE])))

    def truncate(self) -> None:
        if files := self.files():
            os.truncate(self.random.choice(files), self.random.choice([0, 1, 5000, 1 << 40]))

    def extend(self) -> None:
        if files := self.files():
            path = self.random.choice(files)
            with contextlib.suppress(OSError), path.open("ab") as file:
                file.write(bytes(PAGE))  # zeros that are no hole

    def punch(self) -> None:
        if files := self.files():
            path = self.random.choice(files)
            if PAGE < path.stat().st_size < 1 << 30:
                with path.open("r+b") as file:
                    pages = path.stat().st_size // PAGE
                    punch_hole(
                        file.fileno(), self.random.randrange(pages) * PAGE, PAGE * self.random.randint(1, 9)
                    )

    def rename(self) -> None:
        source = self.any_path()
        if source is None:
            return
        target = self.random.choice([self.place(), self.any_path() or self.place()])
        with _refused():  # into itself, over a full directory, a directory over a file
            source.rename(target)

    def swap(self) -> None:
        """Two directories change places: `btrfs send` needs a third name for that."""
        one, two = self.any_path(), self.any_path()
        if one is None or two is None or one in (two, *two.parents) or two in one.parents:
            return
        third = self.place()
        if {one, two} & {*third.parents}:
            return
        one.rename(third)
        with _refused():
            two.rename(one)
        with _refused():
            third.rename(two)

    def remove(self) -> None:
        path = self.any_path()
        if path is None:
            return
        if path.is_dir() and not path.is_symlink():
            with _refused():
                path.rmdir()
        else:
            path.unlink()

    def replace_kind(self) -> None:
        """A file becomes a directory of the same name."""
        if files := self.files():
            path = self.random.choice(files)
            path.unlink()
            path.mkdir()

    def chmod(self) -> None:
        if path := self._no_link():
            path.chmod(self.random.choice([0o000, 0o4711, 0o1777, 0o644]))

    def chown(self) -> None:
        if path := self.any_path():
            os.chown(path, self.random.randrange(70000), self.random.randrange(70000), follow_symlinks=False)

    def xattr(self) -> None:
        if path := self._plain():
            name = self.random.choice(
                [b"user.a", b"user.overlay.x", b"trusted.overlay.x", b"user." + b"n" * 240]
            )
            os.setxattr(path, name, self.random.randbytes(self.random.choice([0, 10, 3000])))

    def no_xattr(self) -> None:
        if path := self._plain():
            for name in os.listxattr(path, follow_symlinks=False)[:1]:
                os.removexattr(path, name, follow_symlinks=False)

    def times(self) -> None:
        if path := self.any_path():
            at = self.random.randrange(2**33 * 10**9)
            os.utime(path, ns=(at, at), follow_symlinks=False)

    def clone(self) -> None:
        """Two files that share extents."""
        if files := self.files():
            source, target = self.random.choice(files), self.place()
            with source.open("rb") as left, target.open("xb") as right:
                fcntl.ioctl(right.fileno(), FICLONE, left.fileno())

    def link(self) -> None:
        if files := self.files():
            self.place().hardlink_to(self.random.choice(files))

    def _no_link(self) -> Path | None:
        path = self.any_path()
        return None if path is None or path.is_symlink() else path

    def _plain(self) -> Path | None:
        """A file or directory: user attributes are for no others."""
        path = self.any_path()
        return path if path and stat.S_IFMT(path.lstat().st_mode) in (stat.S_IFREG, stat.S_IFDIR) else None


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    """What the kernel may refuse, as a random edit makes no sense now and then."""
    try:
        yield
    except OSError as error:
        expected = (errno.ENOTEMPTY, errno.EISDIR, errno.ENOTDIR, errno.EINVAL, errno.ENOENT, errno.EEXIST)
        if error.errno not in expected:
            raise


def walk(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every path and what it is, `root` first, in order. Any depth that one path can name."""
    todo = [root]
    while todo:
        path = todo.pop()
        status = path.lstat()
        yield path, status
        if stat.S_ISDIR(status.st_mode):
            todo += sorted(path.iterdir(), reverse=True)


def describe(root: Path) -> Tree:
    """All that a restore must keep, by path: kind, mode, owner, times, content, holes, links, attributes."""
    first: dict[int, Path] = {}
    found: Tree = {}
    for path, status in walk(root):
        name = path.relative_to(root)
        found[str(name)] = (
            oct(status.st_mode),
            status.st_uid,
            status.st_gid,
            status.st_mtime_ns,
            first.setdefault(status.st_ino, name),
            status.st_nlink,
            _attributes(path),
            _content(path, status),
        )
    return found


def _attributes(path: Path) -> list[tuple[str, bytes]]:
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return [(name, os.getxattr(path, name, follow_symlinks=False)) for name in names]


def _content(path: Path, status: os.stat_result) -> object:
    if stat.S_ISLNK(status.st_mode):
        return str(path.readlink())
    if stat.S_ISREG(status.st_mode):
        return status.st_size, list(_extents(path))
    return status.st_rdev if stat.S_IFMT(status.st_mode) in (stat.S_IFCHR, stat.S_IFBLK) else None


def _extents(path: Path) -> Iterator[tuple[int, int, str]]:
    """Where data is, from and to, and what."""
    fd = os.open(path, os.O_RDONLY)
    try:
        at = 0
        with contextlib.suppress(OSError):  # ENXIO: no data after this
            while True:
                start = os.lseek(fd, at, os.SEEK_DATA)
                at = os.lseek(fd, start, os.SEEK_HOLE)
                yield start, at, hashlib.sha256(os.pread(fd, at - start, start)).hexdigest()[:16]
    finally:
        os.close(fd)
