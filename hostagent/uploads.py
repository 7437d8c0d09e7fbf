"""A user's uploads, fetched into the directory that a sandbox sees as /uploads."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable
from http import HTTPStatus
from pathlib import Path

import aiohttp

from hostagent.backoff import Backoff
from hostagent.errors import DriverError
from hostagent.wire import Upload

TRIES = 4
STALL_S = 30.0


class Uploads:
    """One directory a sandbox, below `root`."""

    def __init__(self, root: Path, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._root = root
        self._session = session

    def directory(self, sandbox_id: str) -> Path:
        return self._root / sandbox_id

    def make(self, sandbox_id: str) -> Path:
        directory = self.directory(sandbox_id)
        self._root.mkdir(mode=0o700, exist_ok=True)
        directory.mkdir(mode=0o755, exist_ok=True)
        return directory

    async def fetch(self, sandbox_id: str, files: Iterable[Upload]) -> Path:
        """Have all of them, whole and checked. Each appears in one step, in the place of an older one."""
        directory = self.make(sandbox_id)
        try:
            for file in files:
                await _fetch(self._session(), directory, file)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DriverError(f"an upload could not be fetched: {type(error).__name__}") from error
        return directory

    async def remove(self, sandbox_id: str) -> None:
        if (directory := self.directory(sandbox_id)).exists():
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    def retain(self, sandbox_ids: Collection[str]) -> None:
        """Remove those of all other sandboxes."""
        with contextlib.suppress(FileNotFoundError):
            for path in self._root.iterdir():
                if path.name not in sandbox_ids:
                    path.unlink() if path.suffix == ".part" else shutil.rmtree(path)


async def _fetch(session: aiohttp.ClientSession, directory: Path, file: Upload) -> None:
    # Beside the directory, not in it: the sandbox sees what is in it.
    part = directory.with_name(f"{directory.name}.{secrets.token_hex(4)}.part")
    backoff = Backoff()
    try:
        for left in range(TRIES - 1, -1, -1):
            try:
                await _download(session, part, file)
                break
            except (aiohttp.ClientError, TimeoutError):
                if not left:
                    raise
            await asyncio.sleep(backoff.next_s())
        part.chmod(0o444)
        part.rename(directory / file.name)
    finally:
        part.unlink(missing_ok=True)


async def _download(session: aiohttp.ClientSession, part: Path, file: Upload) -> None:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=STALL_S, sock_read=STALL_S)
    digest, size = hashlib.sha256(), 0
    async with session.get(file.url, timeout=timeout, allow_redirects=False) as response:
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise aiohttp.ClientPayloadError(f"{response.status}")
        if response.status != HTTPStatus.OK:
            raise DriverError(f"upload {file.name!r} is not there any more ({response.status})")
        with part.open("wb") as target:
            async for data in response.content.iter_any():
                size += len(data)
                if size > file.bytes:
                    break
                digest.update(data)
                target.write(data)
    if size != file.bytes or digest.hexdigest() != file.sha256:
        raise DriverError(f"upload {file.name!r} is not what was uploaded")
