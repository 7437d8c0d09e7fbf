"""What layers above do about sandboxes. They register in their `AppConfig.ready`."""

from __future__ import annotations

from collections.abc import Callable

from sandboxes.models import Sandbox
from workspaces.models import Version

# A durable version of the sandbox's workspace was answered to its host.
Saved = Callable[[Sandbox, Version], None]
# It was frozen or thawed: `asleep_since` says which. Called in that transaction.
SleepChanged = Callable[[Sandbox], None]


def _nothing(sandbox: Sandbox, version: Version) -> None:
    """Nobody wants to know."""


def _no_change(sandbox: Sandbox) -> None:
    """Nobody wants to know."""


_saved: Saved = _nothing
_sleep_changed: SleepChanged = _no_change


def register_saved(call: Saved) -> None:
    global _saved
    _saved = call


def saved(sandbox: Sandbox, version: Version) -> None:
    _saved(sandbox, version)


def register_sleep_changed(call: SleepChanged) -> None:
    global _sleep_changed
    _sleep_changed = call


def sleep_changed(sandbox: Sandbox) -> None:
    _sleep_changed(sandbox)
