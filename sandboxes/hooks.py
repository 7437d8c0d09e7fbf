"""What layers above do about sandboxes. They register in their `AppConfig.ready`."""

from __future__ import annotations

from collections.abc import Callable

from sandboxes.models import Sandbox
from workspaces.models import Version

# A durable version of the sandbox's workspace was answered to its host.
Saved = Callable[[Sandbox, Version], None]


def _nothing(sandbox: Sandbox, version: Version) -> None:
    """Nobody wants to know."""


_saved: Saved = _nothing


def register_saved(call: Saved) -> None:
    global _saved
    _saved = call


def saved(sandbox: Sandbox, version: Version) -> None:
    _saved(sandbox, version)
