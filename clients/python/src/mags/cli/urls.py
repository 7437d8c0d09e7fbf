"""`mags url ...`"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from mags.cli import terminal
from mags.cli.app import StyledGroup
from mags.cli.connect import connect

if TYPE_CHECKING:
    from mags.types import Alias

HEADINGS = ("SUBDOMAIN", "WORKSPACE_ID", "PORT", "URL", "CREATED_AT")
PORT = click.IntRange(1, 65535)
OPEN = "open"  # the command that a job's name alone means

_json = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")


class UrlGroup(StyledGroup):
    """A first word that is no command is a job. One that is called like a command goes by its id."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        words = args if args[0] in self.commands else [OPEN, *args]
        return super().resolve_command(ctx, words)


@click.group(
    cls=UrlGroup,
    short_help="Give a sandbox a public URL, and that a name.",
    subcommand_metavar="JOB [PORT] | COMMAND [ARGS]...",
)
def url() -> None:
    """Print the public URL of JOB (an id, a name, or its workspace's name), and let it lead to PORT of its
    sandbox (8080).

    \b
    Examples:
      mags url web 8000
      mags url alias shop web
    """


@url.command(OPEN, hidden=True)
@click.argument("job")
@click.argument("port", type=PORT, default=8080)
@_json
def open_(job: str, port: int, *, as_json: bool) -> None:
    """Print the public URL of JOB, and let it lead to PORT of its sandbox."""
    answer = connect().url(job, port=port)
    click.echo(json.dumps(answer) if as_json else terminal.printable(answer["url"]))


@url.command(short_help="Give a workspace's URL a name of your choice.")
@click.argument("subdomain")
@click.argument("workspace")
@click.option("--port", type=PORT, help="Where it leads. [default: as the workspace's own URL]")
@_json
def alias(subdomain: str, workspace: str, port: int | None, *, as_json: bool) -> None:
    """Let SUBDOMAIN lead to whatever sandbox has WORKSPACE, and print its URL."""
    answer = connect().url_alias_create(subdomain, workspace, port=port)
    click.echo(json.dumps(answer) if as_json else terminal.printable(answer["url"]))


@url.command("list", short_help="List your names.")
@click.option("-n", "--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="How many.")
@click.option("--page", type=click.IntRange(min=1), default=1, help="Which page of so many.")
@_json
def list_(limit: int, page: int, *, as_json: bool) -> None:
    """List your names of URLs, newest first. Piped, the columns are separated by tabs."""
    from mags.cli import table

    answer = connect().url_alias_list(page=page, page_size=limit)
    if as_json:
        click.echo(json.dumps(answer))
    elif not sys.stdout.isatty():
        rows = [[found.get(heading.lower()) for heading in HEADINGS] for found in answer["aliases"]]
        click.echo(table.tabbed(HEADINGS, rows), nl=False)
    elif not answer["aliases"]:
        terminal.note("no names yet: mags url alias NAME WORKSPACE")
    else:
        _draw(answer["aliases"])


def _draw(aliases: list[Alias]) -> None:
    from mags.cli import human, table
    from mags.cli.table import Cell, Column

    columns = [Column("URL"), Column("Workspace"), Column("Port", "right"), Column("Made")]
    rows = [
        [
            Cell(found["url"]),
            Cell(found["workspace_id"]),
            Cell(str(found["port"] or "")),
            Cell(human.ago(found["created_at"])),
        ]
        for found in aliases
    ]
    table.draw(columns, rows)


@url.command(short_help="Give a name back.")
@click.argument("subdomain")
@_json
def remove(subdomain: str, *, as_json: bool) -> None:
    """Give SUBDOMAIN back: its URL leads nowhere. For some weeks nobody but you can have it again."""
    answer = connect().url_alias_delete(subdomain)
    if as_json:
        click.echo(json.dumps({"subdomain": subdomain, "deleted": True, **answer}))
    else:
        click.echo(f"{terminal.printable(subdomain)} is given back.")
