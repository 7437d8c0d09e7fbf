"""The client as the command line uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mags.cli import terminal

if TYPE_CHECKING:
    from mags import Mags
    from mags.errors import MagsError


RETRY_FOR_S = 5.0  # a server that restarts takes 3 s; a person waits no longer than this for an error


def connect(api_url: str | None = None, api_token: str | None = None) -> Mags:
    """A client for the command under way; it is closed at the command's end."""
    from mags import Mags

    told: set[str] = set()

    def on_retry(error: MagsError, _delay_s: float) -> None:
        if error.code not in told:  # once, not at every try
            told.add(error.code)
            terminal.note(f"{error.message.removesuffix('.')}; trying again")

    return click.get_current_context().with_resource(
        Mags(api_token, api_url, on_retry=on_retry, retry_for=RETRY_FOR_S)
    )
