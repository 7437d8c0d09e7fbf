"""`mags login`, `logout`, `whoami`"""

from __future__ import annotations

import json
import os
import sys
from urllib.parse import urlsplit

import click

from mags import config
from mags.cli import terminal
from mags.cli.connect import connect
from mags.errors import MagsError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command(short_help="Save a server and a token.")
@click.option("--url", metavar="URL", help="The server's address. [default: the one in use]")
@click.option(
    "--token", metavar="TOKEN", help="The token; - or a pipe reads it from stdin, else it is asked for."
)
def login(url: str | None, token: str | None) -> None:
    """Try a token and save it with its server in ~/.mags/config.json, readable by you only.

    Without --token it is asked for and not shown, so that it stays out of the shell's history.
    """
    server = config.normal_url(url or os.environ.get("MAGS_API_URL") or _saved_url() or config.DEFAULT_URL)
    secret = config.checked_token(_token_from(token, server))
    account = connect(server, secret).whoami()
    path = config.save(config.Saved(server, secret))
    email = terminal.printable(account.get("email") or "somebody")
    click.echo(f"Logged in to {server} as {click.style(email, bold=True)}.")
    terminal.note(f"saved in {path}")
    if server.startswith("http://") and urlsplit(server).hostname not in LOOPBACK:
        terminal.note("plain http: the token and all output travel unencrypted")
    for name in ("MAGS_API_TOKEN", "MAGS_TOKEN", "MAGS_API_URL"):
        if os.environ.get(name):
            terminal.note(f"{name} is set and wins over the saved login")


def _saved_url() -> str:
    try:
        return config.read_saved().api_url
    except MagsError:  # a broken file is what login is there to replace
        return ""


def _token_from(token: str | None, server: str) -> str:
    if token == "-" or (token is None and not sys.stdin.isatty()):  # noqa: S105 - a dash, for stdin
        return sys.stdin.readline()
    if token is not None:
        return token
    terminal.note(f"make a token on the dashboard: {server}/tokens/")
    answer: str = click.prompt("Paste the token (it is not shown)", hide_input=True, err=True)
    return answer


@click.command(short_help="Forget the saved token.")
def logout() -> None:
    """Delete ~/.mags/config.json. The token itself stays valid until it is revoked or expires."""
    was_there = config.forget()
    click.echo("Logged out: the saved token is gone." if was_there else "There was no saved login.")
    for name in ("MAGS_API_TOKEN", "MAGS_TOKEN"):
        if os.environ.get(name):
            terminal.note(f"{name} is still set here and will be used")


@click.command(short_help="Show who you are, and where.")
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON.")
def whoami(*, as_json: bool) -> None:
    """Show the account and the server that commands use, and where the token comes from."""
    settings = config.resolve()
    account = connect().whoami()
    if as_json:
        click.echo(json.dumps({**account, "api_url": settings.api_url}))
        return
    click.echo(terminal.printable(account.get("email") or ""))
    terminal.note(f"on {settings.api_url}, token from {settings.token_from}")
