"""The client as the command line uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mags.cli import terminal

if TYPE_CHECKING:
    from mags import Mags
    from mags.errors import MagsError


def connect(api_url: str | None = None, api_token: str | None = None) -> Mags:
    from mags import Mags

    told: set[str] = set()

    def on_retry(error: MagsError, _delay_s: float) -> None:
        if error.code not in told:  # once, not at every try
            told.add(error.code)
            terminal.note(f"{error.message}; trying again")

    return Mags(api_token, api_url, on_retry=on_retry)
