"""`btrfs send` to pieces. Everything here blocks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from hostagent.linux.launch import ENVIRONMENT
from hostagent.volumes import pipe
from hostagent.volumes.errors import PathTooLong, SendFailed, StreamInvalid
from hostagent.volumes.holes import Holes
from hostagent.volumes.segments import Packer, Piece
from hostagent.volumes.stream import Attribute, Handler, Kind, Rewriter, values


class Sender:
    """Sends `snapshot`, as what was changed since `parent` if there is one."""

    def __init__(self, snapshot: Path, parent: Path | None) -> None:
        since = ["-p", str(parent)] if parent else []
        self._command = ["btrfs", "--quiet", "send", *since, str(snapshot)]
        self._process: subprocess.Popen[bytes] | None = None
        self._holes = Holes(snapshot, parent) if parent else None
        self._packer = Packer()
        self._subvolume: UUID | None = None
        handlers: dict[int, Handler] = {Kind.SUBVOL: self._begin, Kind.SNAPSHOT: self._begin}
        if self._holes is not None:  # a full stream leaves holes out
            handlers[Kind.WRITE] = self._holes.write
        self._rewriter = Rewriter(handlers)
        self._pieces = self._run()

    def piece(self) -> Piece | None:
        """The next one; None after the last, when the stream is whole."""
        return next(self._pieces, None)

    def kill(self) -> None:
        """Harmless at any time, from any thread: makes a `piece` that runs fail."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """The process has ended when this returns."""
        if self._process is not None:
            pipe.kill(self._process)
        if self._holes is not None:
            self._holes.close()

    @property
    def subvolume(self) -> UUID:
        """What the stream calls the snapshot."""
        if self._subvolume is None:
            raise StreamInvalid("the stream has no beginning")
        return self._subvolume

    @property
    def raw_bytes(self) -> int:
        return self._packer.raw_bytes

    @property
    def raw_sha256(self) -> str:
        return self._packer.raw_sha256

    def _run(self) -> Iterator[Piece]:
        self._process = process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
        output = pipe.enlarged(process.stdout)
        while chunk := os.read(output, pipe.PIPE_BYTES):
            yield from self._packer.add(self._rewriter.feed(chunk))
        said = pipe.end(process)
        if process.returncode != 0:
            raise PathTooLong(said) if "File name too long" in said else SendFailed(f"btrfs send: {said}")
        self._rewriter.finish()
        yield from self._packer.rest()

    def _begin(self, data: bytes, body: int, end: int) -> None:
        self._subvolume = UUID(bytes=values(data, body, end)[Attribute.UUID])
