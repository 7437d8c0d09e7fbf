"""The secrets of a stack: made once, at first start, kept in `var/secrets` (0600, root)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, fields
from pathlib import Path

from deploy.layout import write_private


@dataclass(frozen=True, slots=True)
class Credentials:
    """144 random bits or more each; the admin password is short enough to type."""

    secret_key: str
    redis_password: str
    s3_access_key: str
    s3_secret_key: str
    admin_password: str


def load(directory: Path) -> Credentials:
    """Read the secrets; make those that are not there yet."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Credentials(**{field.name: _read_or_make(directory / field.name) for field in fields(Credentials)})


def _read_or_make(path: Path) -> str:
    if not path.exists():
        write_private(path, secrets.token_urlsafe(18) + "\n")
    return path.read_text(encoding="utf-8").strip()
