"""What a token may be used for. Each scope holds the ones before it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Scope(StrEnum):
    READ = "read"  # look at everything but other tokens, change nothing
    RUN = "run"  # submit, stop, give commands, publish; keys for SSH
    ADMIN = "admin"  # and list, make and revoke tokens


SCOPES = [scope.value for scope in Scope]
WORKSPACE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z"  # as workspaces/limits.py, which is above this app


def with_parts(scopes: Iterable[str]) -> list[str]:
    """These scopes and the ones that they hold, the smallest first."""
    highest = max((SCOPES.index(scope) for scope in scopes), default=-1)
    return SCOPES[: highest + 1]


def all_scopes() -> list[str]:
    """Of tokens that are made without saying, by the server itself."""
    return with_parts([Scope.ADMIN])
