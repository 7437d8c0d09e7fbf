"""`mags token ...`"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta, timezone
from typing import Any

import click

from mags.cli import options, terminal
from mags.cli.app import StyledGroup
from mags.cli.connect import connect

HEADINGS = ("ID", "NAME", "PREFIX", "SCOPES", "WORKSPACE", "LAST_USED_AT", "LAST_USED_ADDRESS", "EXPIRES_AT")


@click.group(cls=StyledGroup, short_help="Make, list and revoke tokens.")
def token() -> None:
    """Tokens let programs act as you. To make and revoke them, log in with the scope admin, or use the
    dashboard."""


@token.command(short_help="Make a token and print it.")
@click.argument("name")
@click.option(
    "--scope", type=click.Choice(["read", "run", "admin"]), default="run", show_default=True,
    help="What it may do; each holds the ones before it.",
)  # fmt: skip
@click.option("-w", "--workspace", metavar="NAME", help="The only workspace that it is for.")
@click.option("--expires", metavar="TIME", help="After which time, like 12h or 90d. [default: never]")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def create(name: str, scope: str, workspace: str | None, expires: str | None, *, as_json: bool) -> None:
    """Make a token and print it. It is shown only this once."""
    until = datetime.now(timezone.utc) + timedelta(seconds=options.seconds(expires)) if expires else None
    made = connect().token_create(name, expires_at=until, scopes=[scope], workspace=workspace)
    click.echo(json.dumps(made) if as_json else terminal.printable(made["token"]))
    if not as_json:
        terminal.note(f"it is not shown again; `mags token revoke {made['id']}` ends it")


@token.command("list", short_help="List your tokens.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def list_(*, as_json: bool) -> None:
    """List your tokens, without their text. Piped, the columns are separated by tabs."""
    from mags.cli import human, table
    from mags.cli.table import Cell, Column

    answer = connect().token_list(page_size=200)
    rows: list[dict[str, Any]] = answer["tokens"]
    if as_json:
        click.echo(json.dumps(answer))
    elif not sys.stdout.isatty():
        cells = [[_cell(row, heading.lower()) for heading in HEADINGS] for row in rows]
        click.echo(table.tabbed(HEADINGS, cells), nl=False)
    else:
        names = ("Name", "ID", "Begins with", "May", "Workspace", "Last used", "From", "Expires")
        table.draw(
            [Column(name) for name in names],
            [
                [
                    Cell(row["name"]),
                    Cell(row["id"]),
                    Cell(row["prefix"] + "…"),
                    Cell(row["scopes"][-1]),
                    Cell(row["workspace"] or "all"),
                    Cell(human.ago(row["last_used_at"]) if row["last_used_at"] else "never"),
                    Cell(row["last_used_address"]),
                    Cell(row["expires_at"][:10] if row["expires_at"] else "never"),
                ]
                for row in rows
            ],
        )


@token.command(short_help="Revoke a token.")
@click.argument("token_id", metavar="ID", type=int)
def revoke(token_id: int) -> None:
    """Refuse a token from now on. What uses it stops within seconds. `mags token list` shows the ids."""
    connect().token_revoke(token_id)
    click.echo(f"Token {token_id} is revoked.")


def _cell(row: dict[str, Any], name: str) -> object:
    value = row.get(name)
    return ",".join(value) if isinstance(value, list) else value
