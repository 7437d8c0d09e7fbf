"""Who may log in to one held sandbox: the files from which its host's data port starts SSH servers, kept as
the server wishes them.

    ssh/host_key ssh/authorized_keys    both replaced in one step
    ssh/in_force    the digest of the wish that they are; written last, when whoever lost a key is out
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from hostagent import control
from hostagent.backoff import Backoff
from hostagent.errors import AgentError
from hostagent.heldwire import SandboxKey, SshReady, SshWish
from hostagent.volumes.threads import blocking

DIRECTORY = "ssh"  # of the sandbox's own directory; as in `hostagent.dataport.ssh`


class SshKeys:
    def __init__(self, state_dir: Path, key: SandboxKey, tell: Callable[[SshReady], None], log: Any) -> None:
        self._data_port = state_dir / control.DATA_PORT
        self._key = key
        self._files = _Files(state_dir.resolve() / "fs" / "sandboxes" / key.sandbox_id / DIRECTORY)
        self._tell = tell
        self._log = log
        self._wish: SshWish | None = None
        self._told = ""  # the digest
        self._changed = asyncio.Event()

    def give(self, wish: SshWish | None) -> None:
        """What the server wishes now. The same keys come in other words each time."""
        self._wish = wish
        if wish is None or wish.digest != self._told:
            self._changed.set()

    async def follow(self) -> None:
        """Put into force what is wished, for as long as the sandbox lives."""
        backoff = Backoff()
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.put()
                backoff.reset()
            except (OSError, AgentError) as error:  # until then the old ones may be in
                self._log.warning("ssh_keys_not_in_force", error=str(error))
                await asyncio.sleep(backoff.next_s())
                self._changed.set()

    async def begin(self) -> None:
        """Before the sandbox is said to be up. What fails is tried again, and told of, by `follow`."""
        with contextlib.suppress(OSError, AgentError):
            await self.put()

    async def put(self) -> None:
        """Raises OSError; AgentError where sessions could not be cut."""
        wish = self._wish
        if await blocking(partial(self._files.write, wish)):
            answer = await control.ask(self._data_port, f"close {self._key.sandbox_id} ssh")
            self._log.info("ssh_sessions_cut", count=answer.get("closed"))
        await blocking(partial(self._files.note, wish))
        told, self._told = self._told, wish.digest if wish else ""
        if wish is not None and wish.digest != told:
            self._tell(SshReady(self._key.sandbox_id, self._key.epoch, wish.digest))


class _Files:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._host_key = directory / "host_key"
        self._authorized = directory / "authorized_keys"
        self._in_force = directory / "in_force"

    def write(self, wish: SshWish | None) -> bool:
        """True: somebody may be in who has no key any more."""
        known, old = _text(self._in_force), _text(self._authorized)
        if (old is None) if wish is None else (wish.digest == known):
            return False
        new = wish.authorized_keys if wish else ()
        self._in_force.unlink(missing_ok=True)  # before anything: who dies here does all of it once more
        self._directory.mkdir(mode=0o700, exist_ok=True)
        if wish is not None:
            _replace(self._host_key, wish.host_key)
        _replace(self._authorized, "".join(f"{line}\n" for line in new))
        if old is None:
            return False
        is_unsure = known is None  # somebody died, or did not reach the data port, before it was noted
        return is_unsure or not set(old.splitlines()) <= set(new)

    def note(self, wish: SshWish | None) -> None:
        if wish is not None:
            _replace(self._in_force, wish.digest)
        else:
            self._authorized.unlink(missing_ok=True)
            self._host_key.unlink(missing_ok=True)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        return None


def _replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(text)
    fresh.replace(path)
