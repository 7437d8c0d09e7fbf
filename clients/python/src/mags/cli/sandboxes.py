"""`mags new`, `wake`, `set`"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from mags.cli import submission, terminal, uploads
from mags.cli.connect import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

UP_LIMIT_S = 120.0  # a host may have to fetch the image and the files first

_json = click.option("--json", "as_json", is_flag=True, help="Print the job as JSON.")


@click.command(options_metavar="[FLAGS]", short_help="Make a sandbox that stays, to enter and to publish.")
@click.argument("name")
@click.option("-p", "--persistent", is_flag=True, help="Save its files for good.")
@click.option("-w", "--workspace", metavar="NAME", help="The workspace, where it is not called as the job.")
@click.option("--base", metavar="NAME", help="Begin with the files of this workspace; it stays as it is.")
@submission.flags
@_json
def new(name: str, *, workspace: str | None, base: str | None, as_json: bool, **given: Any) -> None:
    """Make a sandbox that stays, wait until it is up, and say how to enter it.

    It stays with nothing running in it, and sleeps while nobody needs it. Its files are on one host
    only; with -p they are saved for good, and it can come back on any host. A start-up command is run
    now, and again whenever the sandbox is made anew.

    \b
    Examples:
      mags new box
      mags new web -p --url --port 8000 --startup-command 'python3 -m http.server 8000'
      mags new web -p --no-sleep            never sleeps, comes back when its host is lost
    """
    from mags.cli import card

    wanted = {
        **submission.options_of(**given),
        "persistent": given["persistent"],
        "base_workspace_id": base,
        "workspace_id": workspace or name,
    }
    client = connect()
    if given["files"]:
        wanted["file_ids"] = uploads.send(client, given["files"])
    began = time.monotonic()
    with _waiting(f"making {name}", f"see `mags status {name}`"):
        job = client.status(client.new(name, timeout=UP_LIMIT_S, **wanted)["request_id"])
    took_ms = int((time.monotonic() - began) * 1000)
    click.echo(json.dumps(job) if as_json else card.made(job, took_ms, is_saved=given["persistent"]))


@click.command(short_help="Have a sleeping sandbox get up.")
@click.argument("job")
@_json
def wake(job: str, *, as_json: bool) -> None:
    """Have the sandbox of JOB (a name or an id) get up, and wait until it is.

    URLs, SSH, `mags exec` and `mags run` wake it by themselves. This one is for being there before
    they come, and for what was stopped.
    """
    client = connect()
    began = time.monotonic()
    with _waiting(f"waking {job}", "it goes on getting up"):
        found = client.wake(job, timeout=UP_LIMIT_S)
    took_ms = int((time.monotonic() - began) * 1000)
    click.echo(json.dumps(found) if as_json else _awake(job, took_ms))


def _awake(job: str, took_ms: int) -> str:
    from mags.cli import card, human

    title = click.style(f"{card.DOT} {terminal.printable(job)} is up", fg="cyan", bold=True)
    return f"{title}  {click.style(human.duration(took_ms), dim=True)}"


@click.command("set", short_help="Change a job's name, and how its sandbox sleeps and wakes.")
@click.argument("job")
@click.option("--no-sleep/--sleep", "no_sleep", default=None, help="Never sleep, or sleep when idle again.")
@click.option(
    "--startup-command", metavar="CMD", help="Run this whenever the sandbox is made anew; '': nothing."
)
@click.option("--name", metavar="NAME", help="Another name to find the job by.")
@_json
def set_(
    job: str, *, no_sleep: bool | None, startup_command: str | None, name: str | None, as_json: bool
) -> None:
    """Change what is given about JOB (a name or an id), while its sandbox goes on.

    \b
    Examples:
      mags set web --no-sleep
      mags set web --startup-command 'cd /root && python3 -m http.server 8000'
      mags set web --name shop
    """
    if no_sleep is None and startup_command is None and name is None:
        raise click.UsageError("Give what to change: --no-sleep, --sleep, --startup-command or --name.")
    changed = connect().update_job(job, no_sleep=no_sleep, startup_command=startup_command, name=name)
    if as_json:
        click.echo(json.dumps(changed))
        return
    shown = terminal.printable(job)
    if no_sleep is not None:
        click.echo(
            f"{shown} {'never sleeps' if changed['no_sleep'] else 'sleeps when it is idle'} from now on."
        )
    if startup_command is not None:
        command = terminal.printable(changed.get("startup_command") or "nothing")
        click.echo(f"{shown} runs this whenever it is made anew: {command}")
    if name is not None:
        click.echo(f"{shown} is called {terminal.printable(changed['name'] or changed['request_id'])} now.")


@contextmanager
def _waiting(words: str, afterwards: str) -> Iterator[None]:
    """Shows people what is waited for. Ctrl-C ends the waiting only, and they are told so."""
    from mags.cli import progress

    try:
        with progress.waiting(words):
            yield
    except KeyboardInterrupt:
        terminal.note(f"interrupted while {words}: {afterwards}")
        raise
