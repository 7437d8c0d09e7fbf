"""`mags logs`, `status`, `list`, `stop`"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from mags import wire
from mags.cli import terminal
from mags.cli.connect import connect
from mags.errors import MagsError
from mags.lifecycle import FINAL, is_over

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from mags import Mags
    from mags.types import LogPage

STOP_LIMIT_S = 300.0  # the first save of a large workspace takes minutes
EVENTS_LIMIT = 200  # of one answer
EVENTS_A_LINE = 5  # read for each that is shown: some are shown together
STATUSES = ("accepted", "running", "sleeping", "completed", "error")


@click.command(short_help="Show a job's output; -f follows it.")
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option("-t", "--timestamps", is_flag=True, help="Begin each line with its time (UTC).")
@click.option("--json", "as_json", is_flag=True, help="Print each line as a JSON object.")
def logs(job: str, *, follow: bool, timestamps: bool, as_json: bool) -> int:
    """Print the output of JOB (a name or an id), stdout to stdout and stderr to stderr.

    With -f it goes on until the job has ended; Ctrl-C ends the following, not the job.
    """
    from mags.cli import watch
    from mags.cli.output import JsonOutput, Output, OutputClosed

    output = JsonOutput() if as_json else Output(timestamps=timestamps)
    client = connect()
    if follow:
        with watch.Interrupts() as interrupts:
            return watch.Watch(client, job, interrupts, output=output, stops=False).follow()
    try:
        for page in _stored_pages(client, job, output.unit):
            output.write(page["logs"])
            if page.get("expired"):
                output.note("the output of this job was kept for its time and is gone")
    except OutputClosed:
        return watch.EXIT_OUTPUT_CLOSED
    return 0


def _stored_pages(client: Mags, job: str, unit: Literal["line", "record"]) -> Iterator[LogPage]:
    offset = 0
    while True:
        page = client.logs(job, offset=offset, limit=wire.PAGE_ENTRIES, unit=unit)
        yield page
        if page["next_offset"] == offset or page["end"]:
            return
        offset = page["next_offset"]


@click.command(short_help="Show how a job is or how it ended, and what happened to it.")
@click.argument("job")
@click.option(
    "-n",
    "--events",
    "count",
    type=click.IntRange(0, EVENTS_LIMIT),
    default=10,
    show_default=True,
    help="How many of the last events.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the job, with its `events`, as JSON.")
def status(job: str, count: int, *, as_json: bool) -> None:
    """Show JOB (a name or an id): its status, exit code, host and sandbox, how long each stage took, and
    what happened to it: when it slept, what woke it, and why."""
    from mags.cli import card, timeline

    client = connect()
    found = client.status(job)
    read = min(count * EVENTS_A_LINE, EVENTS_LIMIT)
    answer = client.newest_events(found["request_id"], read) if count else None
    if as_json:
        click.echo(json.dumps({**found, "events": answer["events"][-count:] if answer else []}))
        return
    click.echo(card.of(found))
    if answer and answer["events"]:
        click.echo(f"\n{timeline.of(answer, count)}")


@click.command("list", short_help="List your jobs, newest first.")
@click.option("-n", "--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="How many.")
@click.option("--page", type=click.IntRange(min=1), default=1, help="Which page of so many.")
@click.option("--status", type=click.Choice(STATUSES), help="Only those.")
@click.option("--json", "as_json", is_flag=True, help="Print the page as JSON.")
def list_(limit: int, page: int, status: str | None, *, as_json: bool) -> None:
    """List your jobs, newest first. Piped, the columns are separated by tabs and times are exact."""
    from mags.cli import job_table

    answer = connect().list_jobs(page=page, page_size=limit, status=status)
    if as_json:
        click.echo(json.dumps(answer))
    elif not sys.stdout.isatty():
        click.echo(job_table.tabbed(answer["jobs"]), nl=False)
    elif not answer["jobs"]:
        terminal.note(
            "no jobs here" if status or page > 1 else "no jobs yet: try mags run 'echo Hello World'"
        )
    else:
        job_table.show(answer)


@click.command(short_help="Stop a job and its sandbox.")
@click.argument("job")
@click.option("--wait", "waits", is_flag=True, help="Return when it has ended and its files are saved.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def stop(job: str, *, waits: bool, as_json: bool) -> None:
    """Stop JOB (a name or an id), and the sandbox that it left. What has ended already stays as it is.

    Saved files stay, and so do names and URLs: visitors are told that it is stopped. `mags wake` has
    the sandbox get up again.
    """
    from mags.cli import progress

    client = connect()
    before = client.status(job)
    with progress.waiting(f"stopping {job}"):
        answer = client.stop(job, wait=STOP_LIMIT_S if waits else 0.0)
    if waits:
        _require_over(client, answer["request_id"])
    if as_json:
        click.echo(json.dumps(answer))
    elif waits:
        click.echo(f"{terminal.printable(job)} is stopped.")
    elif answer.get("status") not in FINAL:
        click.echo(f"{terminal.printable(job)} is being stopped.")
    elif before["status"] in FINAL and before["sandbox"] != "none":
        click.echo(f"The sandbox of {terminal.printable(job)} is being stopped.")
    else:
        click.echo(f"{terminal.printable(job)} has ended.")


def _require_over(client: Mags, request_id: str) -> None:
    if not is_over(client.status(request_id)):
        raise MagsError(
            f"It has not ended after {STOP_LIMIT_S:g} s.",
            code="wait_timed_out",
            remediation="It goes on ending: `mags status` says what it waits for.",
        )
