"""`mags login`, `logout`, `whoami`"""

from __future__ import annotations

import json
import os
import sys
from urllib.parse import urlsplit

import click

from mags import config
from mags.cli import loginflow, terminal
from mags.cli.connect import connect
from mags.errors import MagsError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command(short_help="Log in to a server.")
@click.option("--url", metavar="URL", help="The server's address. [default: the one in use]")
@click.option(
    "--token",
    metavar="TOKEN",
    help="A token that you have; - asks for it without showing it, or reads it from a pipe.",
)
@click.option("--no-browser", is_flag=True, help="Show a code to enter in a browser on any machine.")
def login(url: str | None, token: str | None, *, no_browser: bool) -> None:
    """Get a token from the server's page in your browser, and save it in ~/.mags/config.json, readable by you
    only.

    The page shows the same code as the terminal; you choose there what the token may do and when it expires.
    Without a browser on this machine, a code is shown that you enter on another one. A token on stdin is used
    as it is.
    """
    server = config.normal_url(url or os.environ.get("MAGS_API_URL") or _saved_url() or config.DEFAULT_URL)
    secret = config.checked_token(_secret(token, server, no_browser=no_browser))
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


def _secret(token: str | None, server: str, *, no_browser: bool) -> str:
    if token not in {None, "-"}:
        return str(token)
    if token is None and no_browser:
        return loginflow.by_device(server)
    if not sys.stdin.isatty():
        return sys.stdin.readline()
    if token is None:
        found = loginflow.by_browser(server) if loginflow.can_open_browser() else None
        return found or loginflow.by_device(server)
    terminal.note(f"make a token on the dashboard: {server}/tokens/")
    answer: str = click.prompt("Paste the token (it is not shown)", hide_input=True, err=True)
    return answer


@click.command(short_help="Revoke the saved token and forget it.")
def logout() -> None:
    """Revoke the token that `mags login` saved, and delete ~/.mags/config.json."""
    words = _revoke_saved()
    was_there = config.forget()
    click.echo("Logged out." if was_there else "There was no saved login.")
    if words:
        terminal.note(words)
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
    if token := account.get("token"):
        scopes = ", ".join(token.get("scopes", []))
        where = f" in the workspace {token['workspace']}" if token.get("workspace") else ""
        until = f", until {token['expires_at'][:10]}" if token.get("expires_at") else ""
        terminal.note(f"the token {token['name']!r} is for {scopes}{where}{until}")


def _revoke_saved() -> str:
    """What to say about it, if anything. The file goes in any case."""
    try:
        saved = config.read_saved()
        if not saved.api_token:
            return ""
        client = connect(saved.api_url or config.DEFAULT_URL, saved.api_token)
        client.token_revoke(client.whoami()["token"]["id"])
    except MagsError as error:
        if error.status == 401:  # it was of no use any more
            return ""
        return f"the token could not be revoked ({error.message}); do that on the dashboard"
    return ""
