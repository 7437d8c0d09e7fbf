"""What the command says itself: always on stderr, never with bytes that steer a terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mags.errors import MagsError


# Where the server's advice is for programs.
REMEDIES = {
    "job_not_found": "`mags list` shows your jobs.",
    "token_expired": "Run `mags login`.",
    "token_revoked": "Run `mags login`.",
    "unauthorized": "Run `mags login`.",
    "version_damaged": "`mags workspace versions` shows the others.",
    "version_not_found": "`mags workspace versions` shows which there are.",
    "workspace_name_taken": "Choose another name; `mags workspace list` shows which are taken.",
    "workspace_not_found": "`mags workspace list` shows your workspaces.",
    "workspace_not_saved": "Run a job on it with -p, or `mags sync` one while it runs.",
}


def printable(text: object) -> str:
    """`text` with control, direction and other invisible characters written as escapes."""
    return "".join(char if char.isprintable() else _escaped(char) for char in str(text))


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte of a file's name that is not UTF-8 (PEP 383)
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def note(text: str, *, err: bool = True) -> None:
    """A dim line by Mags itself, so that nobody takes it for the script's."""
    click.secho(f"mags: {printable(text)}", dim=True, err=err)


def show_error(error: MagsError) -> None:
    """What happened and what to do about it."""
    click.echo(click.style("Error: ", fg="red", bold=True) + printable(error.message), err=True)
    for name, problem in error.fields.items():
        words = problem if isinstance(problem, str) else "; ".join(map(str, _listed(problem)))
        if words not in error.message:
            click.echo(f"  {printable(name)}: {printable(words)}", err=True)
    remedy = REMEDIES.get(error.code, error.remediation)
    if remedy:
        click.echo(f"  {printable(remedy)}", err=True)
    if error.request_id and error.status and error.status >= 500:
        click.secho(f"  The server knows this request as {printable(error.request_id)}.", dim=True, err=True)


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]


def silence_stdout() -> None:
    """Send what is still to come on stdout nowhere, so that Python's last flush is quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
