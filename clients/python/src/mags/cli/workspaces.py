"""`mags workspace ...`, `mags sync`, `mags resize`"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from mags.cli import options, terminal
from mags.cli.app import EXIT_INTERRUPTED, StyledGroup
from mags.cli.connect import connect
from mags.errors import MagsError

if TYPE_CHECKING:
    from mags import Mags

SAVED_WITHIN_S = 30.0
ASK_AGAIN_S = 0.2

_json = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
_limit = click.option(
    "-n", "--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="How many."
)
_page = click.option("--page", type=click.IntRange(min=1), default=1, help="Which page of so many.")


@click.command(short_help="Save a running job's workspace now.")
@click.argument("job")
@_json
def sync(job: str, *, as_json: bool) -> None:
    """Save the workspace of JOB while it runs, and print the receipt.

    JOB is an id, a name, or the workspace's name. When this returns, the version is stored for
    good.
    """
    from mags.cli import progress, workspace_view

    began = time.monotonic()
    with progress.waiting(f"saving {job}"):
        receipt = connect().sync(job)
    took_ms = int((time.monotonic() - began) * 1000)
    click.echo(json.dumps(receipt) if as_json else workspace_view.receipt(receipt, took_ms))


@click.command(short_help="Give a workspace another disk limit.")
@click.argument("workspace")
@click.option("--disk", type=options.gigabytes, metavar="GB", required=True, help="The new limit in GB.")
@_json
def resize(workspace: str, disk: int, *, as_json: bool) -> None:
    """Give WORKSPACE a disk of so many GB. A running sandbox has it at once and runs on."""
    answer = connect().resize(workspace, disk)
    if as_json:
        click.echo(json.dumps(answer))
    else:
        click.echo(f"{terminal.printable(workspace)} has a disk of {answer['disk_gb']} GB now.")


@click.group(cls=StyledGroup, short_help="List, show, compare, restore, fork, delete workspaces.")
def workspace() -> None:
    """Saved files of sandboxes: what there is, how it was, and back to it."""


@workspace.command("list", short_help="List your workspaces, newest first.")
@_limit
@_page
@_json
def list_(limit: int, page: int, *, as_json: bool) -> None:
    """List your workspaces. Piped, the columns are separated by tabs and values are exact."""
    from mags.cli import workspace_view

    answer = connect().list_workspaces(page=page, page_size=limit)
    if as_json:
        click.echo(json.dumps(answer))
    elif not sys.stdout.isatty():
        click.echo(workspace_view.tabbed(answer["workspaces"]), nl=False)
    elif not answer["workspaces"]:
        terminal.note("no workspaces here: mags run -w NAME -p 'echo hi > file' makes one")
    else:
        workspace_view.show(answer)


@workspace.command(short_help="Show one workspace.")
@click.argument("name")
@_json
def show(name: str, *, as_json: bool) -> None:
    """Show the workspace NAME: its size, its newest version and since when that is stored."""
    from mags.cli import workspace_view

    found = connect().workspace(name)
    click.echo(json.dumps(found) if as_json else workspace_view.card(found))


@workspace.command(short_help="List what was saved, newest first.")
@click.argument("name")
@_limit
@_page
@_json
def versions(name: str, limit: int, page: int, *, as_json: bool) -> None:
    """List the versions of the workspace NAME. Piped, as tab-separated columns."""
    from mags.cli import workspace_view

    answer = connect().workspace_versions(name, page=page, page_size=limit)
    if as_json:
        click.echo(json.dumps(answer))
    elif not sys.stdout.isatty():
        click.echo(workspace_view.tabbed_versions(answer["versions"]), nl=False)
    elif not answer["versions"]:
        terminal.note(f"nothing of {name} was saved yet" if page == 1 else "no versions here")
    else:
        workspace_view.show_versions(name, answer)


@workspace.command(short_help="Show which paths differ between two versions.")
@click.argument("name")
@click.argument("from_version", metavar="[FROM]", type=options.version, required=False)
@click.argument("to_version", metavar="[TO]", type=options.version, required=False)
@_json
def diff(name: str, from_version: int | None, to_version: int | None, *, as_json: bool) -> None:
    """List the paths that were added (+), changed (~) and removed (-) from version FROM to TO.

    TO is the newest version unless given, FROM the one before it. A host compares them, which takes
    a while where it has to fetch them first.
    """
    from mags.cli import progress, workspace_view

    with progress.waiting(f"comparing versions of {name}"):
        answer = connect().workspace_diff(name, from_version, to_version)
    if as_json:
        click.echo(json.dumps(answer))
        return
    for line in workspace_view.difference(answer):
        click.echo(line)
    terminal.note(workspace_view.summary(answer))


@workspace.command(short_help="Go back to an earlier version.")
@click.argument("name")
@click.argument("version", type=options.version)
@_json
def restore(name: str, version: int, *, as_json: bool) -> None:
    """Make a new version of the workspace NAME that is like VERSION. Nothing is overwritten."""
    answer = connect().workspace_restore(name, version)
    if as_json:
        click.echo(json.dumps(answer))
    else:
        click.echo(
            f"{terminal.printable(name)} is as it was in version {version},"
            f" saved as version {terminal.printable(answer['version'])}."
        )


@workspace.command(short_help="Make a new workspace from this one.")
@click.argument("name")
@click.argument("new_name")
@click.option("--version", type=options.version, metavar="VERSION", help="Begin as this. [default: newest]")
@_json
def fork(name: str, new_name: str, version: int | None, *, as_json: bool) -> None:
    """Make the workspace NEW_NAME, which begins as the newest version of NAME. Nothing is copied."""
    answer = connect().workspace_fork(name, new_name, version)
    if as_json:
        click.echo(json.dumps(answer))
    else:
        origin = terminal.printable(name) + (f", version {version}" if version else "")
        click.echo(f"{terminal.printable(new_name)} is a fork of {origin}.")


@workspace.command(short_help="Delete a workspace with all its versions.")
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@_json
def delete(name: str, *, yes: bool, as_json: bool) -> int:
    """Delete the workspace NAME and everything that was saved of it. Nothing brings it back.

    Asks first on a terminal; elsewhere it needs --yes. Refused while a job uses it; what a job that is over
    left is waited for.
    """
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("Deleting cannot be undone, and there is nobody to ask here: add --yes.")
    client = connect()
    if not yes and not _is_sure(client, name):
        terminal.note("nothing was deleted")
        return EXIT_INTERRUPTED
    answer = _delete(client, name)
    if as_json:
        click.echo(json.dumps({"workspace_id": name, "deleted": True, **answer}))
    else:
        click.echo(f"{terminal.printable(name)} is deleted.")
    return 0


def _delete(client: Mags, name: str) -> dict[str, Any]:
    """A job's end is told before its files are saved, and until then they are in use."""
    from mags.cli import progress

    deadline = time.monotonic() + SAVED_WITHIN_S
    with progress.waiting(f"deleting {name}"):
        while True:
            try:
                return client.delete_workspace(name)
            except MagsError as error:
                if error.code != "workspace_in_use" or not _is_left(client, name):
                    raise
                if time.monotonic() > deadline:
                    raise
            time.sleep(ASK_AGAIN_S)


def _is_left(client: Mags, name: str) -> bool:
    """Whether no job uses the workspace that is in use."""
    from mags.lifecycle import is_over

    job = client.workspace(name)["active_job"]
    return job is None or is_over(client.status(job))


def _is_sure(client: Mags, name: str) -> bool:
    from mags.cli import workspace_view

    question = f"Delete {workspace_view.extent(client.workspace(name))}? Nothing brings it back."
    return click.confirm(question, err=True)
