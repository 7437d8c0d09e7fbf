"""The files that go up before a job, and the bar that shows it on a terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mags import upload
from mags.cli import human, terminal
from mags.errors import MagsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mags import Mags


def checked(_ctx: click.Context, _param: click.Parameter, paths: tuple[str, ...]) -> tuple[str, ...]:
    """`paths`, all of which can lie in one directory of the sandbox."""
    names: set[str] = set()
    for path in paths:
        try:
            name = upload.checked_name(Path(path).name)
        except MagsError as error:
            raise click.BadParameter(f"{error.message} {error.remediation}") from None
        if not Path(path).is_file():
            is_there = Path(path).exists()
            words = "is no regular file. Pack a directory with tar." if is_there else "is not there."
            raise click.BadParameter(f"{terminal.printable(path)} {words}")
        if name in names:
            raise click.BadParameter(f"Two files would be /uploads/{terminal.printable(name)}. Rename one.")
        names.add(name)
    return paths


def send(client: Mags, paths: Sequence[str]) -> list[str]:
    """Upload each; their ids."""
    ids = []
    for path in paths:
        with _bar(Path(path).name) as on_progress:
            ids.append(client.upload_file(path, on_progress=on_progress))
    return ids


@contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar for people, which goes away when its file is there."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[bytes]}"),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
    )
    with progress:
        task = progress.add_task(f"uploading {terminal.printable(name)}", total=None, bytes="")

        def on_progress(sent: int, total: int) -> None:
            done = f"{human.size(sent)} of {human.size(total)}"
            progress.update(task, completed=sent, total=total, bytes=done)

        yield on_progress
