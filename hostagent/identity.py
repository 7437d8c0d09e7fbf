"""Who this agent is to the server, and that there is only one of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hostagent.errors import AgentError, ConfigError

IDENTITY = "identity.json"
LOCK = "agent.lock"


class Identity(msgspec.Struct, frozen=True):
    host_id: str
    key: str
    server: str


def load(state_dir: Path) -> Identity:
    path = state_dir / IDENTITY
    try:
        return msgspec.json.decode(path.read_bytes(), type=Identity)
    except FileNotFoundError as error:
        hint = (
            "get a token with `manage.py host_enrolment_token`, then `hostagent enrol --server URL --token T`"
        )
        raise ConfigError(f"this host is not enrolled: there is no {path}", hint) from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path} is damaged: {error}", "remove it and enrol again") from error


def save(state_dir: Path, identity: Identity) -> None:
    """Readable by its owner only, from the first byte on."""
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = state_dir / f"{IDENTITY}.new"
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(msgspec.json.encode(identity))
        file.flush()
        os.fsync(fd)
    fresh.rename(state_dir / IDENTITY)


@contextlib.contextmanager
def lock(state_dir: Path) -> Iterator[None]:
    """Held by whoever may touch the sandboxes of this state directory."""
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Not inherited: a shim that outlives the agent must not keep the lock.
    fd = os.open(state_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise AgentError(
            f"another agent uses {state_dir}", "stop it first, or set another state_dir"
        ) from error
    try:
        yield
    finally:
        os.close(fd)
