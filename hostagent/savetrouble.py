"""Since when the files of a held sandbox cannot be saved, for those who would like to know."""

from __future__ import annotations

from collections.abc import Callable

from hostagent import machine
from hostagent.errors import ApiError, Unreachable
from hostagent.heldwire import SaveFailure, SaveTrouble
from hostagent.volumes.errors import StorageRefused, StorageUnavailable

SAY_AFTER_MS = 3000  # what is over before that was a hiccup


def _nobody_asks() -> None:
    """Until somebody listens."""


class Trouble:
    def __init__(self) -> None:
        self._say: Callable[[], None] = _nobody_asks
        self._since = 0  # Unix ms; 0: saving works
        self._said: SaveTrouble | None = None

    def listen(self, say: Callable[[], None]) -> None:
        """`say` is called when there is trouble that lasts, and when that is over."""
        self._say = say

    @property
    def said(self) -> SaveTrouble | None:
        return self._said

    def met(self, kind: SaveFailure) -> None:
        """An attempt failed."""
        now = machine.now_ms()
        self._since = self._since or now
        present = SaveTrouble(self._since, kind)
        if now - self._since >= SAY_AFTER_MS and present != self._said:
            self._said = present
            self._say()

    def over(self) -> None:
        """A version is durable, or there is nothing to save."""
        self._since = 0
        if self._said is not None:
            self._said = None
            self._say()


def kind_of(error: Exception) -> SaveFailure:
    if isinstance(error, (StorageUnavailable, Unreachable)):
        return "unreachable"
    return "refused" if isinstance(error, (StorageRefused, ApiError)) else "failed"
