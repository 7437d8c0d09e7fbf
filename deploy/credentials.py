"""The secrets of a stack: made once, at first start, kept in `var/secrets` (0600, root)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, fields
from pathlib import Path

from deploy.layout import write_private


@dataclass(frozen=True, slots=True)
class Credentials:
    """Random bytes in each: enough never to be guessed, and Django wants 50 characters of key."""

    secret_key: str = field(metadata={"bytes": 48})
    redis_password: str = field(metadata={"bytes": 32})
    s3_access_key: str = field(metadata={"bytes": 15})
    s3_secret_key: str = field(metadata={"bytes": 30})
    gateway_key: str = field(metadata={"bytes": 32})
    ticket_key: str = field(metadata={"bytes": 32})  # this many: an Ed25519 key
    ssh_secret: str = field(metadata={"bytes": 32})
    admin_password: str = field(metadata={"bytes": 15})  # somebody may have to type it


def load(directory: Path) -> Credentials:
    """Read the secrets; make those that are not there yet."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Credentials(
        **{f.name: _read_or_make(directory / f.name, f.metadata["bytes"]) for f in fields(Credentials)}
    )


def _read_or_make(path: Path, length: int) -> str:
    if not path.exists():
        write_private(path, secrets.token_urlsafe(length) + "\n")
    return path.read_text(encoding="utf-8").strip()
