"""What layers above do about people. They register in their `AppConfig.ready`."""

from __future__ import annotations

from collections.abc import Callable

from accounts.models import User
from core import credentials

# An administrator has changed the user, maybe whether they may sign in, or has deleted them.
Changed = Callable[[User], None]


def _nothing(user: User) -> None:
    """Nobody wants to know."""


_changed: Changed = _nothing


def register_changed(call: Changed) -> None:
    global _changed
    _changed = call


def changed(user: User) -> None:
    """Called once that is committed."""
    credentials.changed()
    _changed(user)
