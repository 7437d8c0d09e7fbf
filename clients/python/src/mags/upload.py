"""A file on its way up: opened, measured, named and cut into the body of a request.

Shared by both clients. Nothing here holds more than one piece of the file.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, TypeAlias

from mags.errors import MagsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Source: TypeAlias = str | os.PathLike[str] | IO[bytes]

PIECE_BYTES = 256 * 1024
NAME_LIMIT_BYTES = 255  # of a file name on Linux, where the job finds it


@dataclass(frozen=True)
class Upload:
    """`size` bytes of `file` from `start` on, as the part `file` of a multipart body."""

    file: IO[bytes]
    name: str
    start: int
    size: int
    on_progress: Callable[[int, int], None] | None = None
    boundary: str = field(default_factory=lambda: os.urandom(16).hex())

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self.boundary}"

    @property
    def content_length(self) -> int:
        return len(self._head()) + self.size + len(self._tail())

    def pieces(self) -> Iterator[bytes]:
        """The body from its beginning, also when a part of it was taken before."""
        self._rewind()
        yield self._head()
        sent = 0
        self._tell(sent)
        while sent < self.size:
            piece = self._read(min(PIECE_BYTES, self.size - sent))
            yield piece
            sent += len(piece)
            self._tell(sent)
        yield self._tail()

    def _head(self) -> bytes:
        name = self.name.replace("\\", "\\\\").replace('"', '\\"')
        return (
            f"--{self.boundary}\r\n"
            f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()

    def _tail(self) -> bytes:
        return f"\r\n--{self.boundary}--\r\n".encode()

    def _rewind(self) -> None:
        try:
            self.file.seek(self.start)
        except OSError as error:
            raise _unreadable(self.name, error) from error

    def _read(self, limit: int) -> bytes:
        try:
            piece = self.file.read(limit)
        except OSError as error:
            raise _unreadable(self.name, error) from error
        if not piece:  # its length went ahead of it, so there is no way to end the request well
            raise MagsError(
                f"{self.name} became shorter while it was sent.",
                code="file_changed",
                remediation="Send it again when nothing writes to it.",
            )
        return piece

    def _tell(self, sent: int) -> None:
        if self.on_progress:
            self.on_progress(sent, self.size)


@contextmanager
def opened(
    source: Source, name: str | None = None, on_progress: Callable[[int, int], None] | None = None
) -> Iterator[Upload]:
    """The upload of `source`, whose name and readability are known to be good before any request."""
    if isinstance(source, str | os.PathLike):
        # Not Path.name, which finds a name for a path that ends in a slash.
        given = checked_name(os.path.basename(os.fspath(source)) if name is None else name)  # noqa: PTH119
        with _open(source) as file:
            yield Upload(file, given, 0, os.fstat(file.fileno()).st_size, on_progress)
        return
    given = checked_name(_own_name(source) if name is None else name)
    with _seekable(source) as file:
        start = file.tell()
        size = max(file.seek(0, os.SEEK_END) - start, 0)
        yield Upload(file, given, start, size, on_progress)


def checked_name(name: str) -> str:
    """`name`, refused when no file can have it or when it has control characters."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        length = -1
    # Not str.isprintable: macOS puts a no-break space into the names of screenshots.
    is_good = 0 < length <= NAME_LIMIT_BYTES and not re.search(r"[/\x00-\x1f\x7f-\x9f\u2028\u2029]", name)
    if not is_good or name in (".", ".."):
        raise MagsError(
            f"{name!r} is no name for an upload.",
            code="bad_argument",
            remediation=f"At most {NAME_LIMIT_BYTES} bytes of UTF-8 text; no / and no control characters.",
        )
    return name


def _open(path: str | os.PathLike[str]) -> IO[bytes]:
    try:
        # Without O_NONBLOCK a pipe that nobody writes to would hold us here.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(os.fspath(path), error) from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb", buffering=0)
    os.close(descriptor)
    raise MagsError(
        f"{os.fspath(path)} is not a regular file.",
        code="bad_argument",
        remediation="Pack a directory with tar first; hand over a pipe as an open file with a name.",
    )


def _own_name(file: IO[bytes]) -> str:
    name = getattr(file, "name", None)
    if not isinstance(name, str):  # in memory, or a descriptor's number
        raise MagsError("This file has no name: give it one with name=.", code="bad_argument")
    return os.path.basename(name)  # noqa: PTH119 - a name that need not be a path of this machine


@contextmanager
def _seekable(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """`file`, or all that is left of it in a temporary one: a body needs its length first."""
    if not isinstance(file.read(0), bytes):
        raise MagsError("This file is open for text: open it for reading bytes.", code="bad_argument")
    if file.seekable():
        yield file
        return
    import shutil  # noqa: PLC0415 - 10 ms that an ordinary upload does not need
    import tempfile  # noqa: PLC0415 - as above

    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(file, copy, PIECE_BYTES)
        copy.seek(0)
        yield copy


def _unreadable(name: str, error: OSError) -> MagsError:
    return MagsError(f"Cannot read {name}: {error.strerror or error}.", code="unreadable_file")
