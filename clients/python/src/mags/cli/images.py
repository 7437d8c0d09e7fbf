"""`mags image ...`"""

from __future__ import annotations

import json
import sys

import click

from mags.cli.app import StyledGroup
from mags.cli.connect import connect

HEADINGS = ("NAME", "BUILD", "SIZE_BYTES", "CREATED_AT")


@click.group(cls=StyledGroup, short_help="List the images that scripts can run on.")
def image() -> None:
    """Root file systems of sandboxes. An administrator imports and publishes them."""


@image.command("list", short_help="List images by name.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def list_(*, as_json: bool) -> None:
    """List the images, for `mags run --image NAME`. Piped, the columns are separated by tabs."""
    from mags.cli import human, table
    from mags.cli.table import Cell, Column

    answer = connect().list_images()
    if as_json:
        click.echo(json.dumps(answer))
    elif not sys.stdout.isatty():
        rows = [[found.get(heading.lower()) for heading in HEADINGS] for found in answer["images"]]
        click.echo(table.tabbed(HEADINGS, rows), nl=False)
    else:
        columns = [Column("Name"), Column("Files", "right"), Column("Build"), Column("Published")]
        table.draw(
            columns,
            [
                [
                    Cell(found["name"]),
                    Cell(human.size(found["size_bytes"])),
                    Cell(found["build"]),
                    Cell(human.ago(found["created_at"])),
                ]
                for found in answer["images"]
            ],
        )
