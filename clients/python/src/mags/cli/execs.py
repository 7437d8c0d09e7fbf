"""`mags exec`"""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from mags.cli import options, terminal
from mags.cli.connect import connect
from mags.execmessages import Size

if TYPE_CHECKING:
    from mags.exectypes import Exec, ExecList

HEADINGS = ("ID", "STATE", "REASON", "EXIT", "STARTED", "COMMAND")
KEYS = ("exec_id", "state", "reason", "exit_code", "created_at", "command")
COMMAND_WIDTH = 60


@click.command(
    "exec",
    options_metavar="[FLAGS]",
    short_help="Execute a command in a sandbox.",
    context_settings={"allow_interspersed_args": False},
)
@click.argument("job")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND | -- CMD [ARGS]...]")
@click.option("-t", "-i", "--tty", "wants_terminal", is_flag=True, help="In a terminal of its own.")
@click.option("-n", "--no-stdin", is_flag=True, help="Give it no input.")
@click.option(
    "--env",
    "environment",
    type=options.variable,
    metavar="K=V",
    multiple=True,
    help="Set a variable; K alone copies yours.",
)
@click.option(
    "--timeout", type=options.seconds, metavar="TIME", help="End the command after this long: 90s, 5m, 1h."
)
@click.option(
    "--list", "lists", is_flag=True, help="List what was executed, newest first, and do nothing else."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object at the end instead of the output."
)
def exec_(
    job: str,
    command: tuple[str, ...],
    *,
    wants_terminal: bool,
    no_stdin: bool,
    environment: tuple[tuple[str, str], ...],
    timeout: int | None,
    lists: bool,
    as_json: bool,
) -> int:
    """Execute COMMAND in the sandbox of JOB (a name or an id), which is woken for it.

    A single argument is for the shell; several, or what follows --, are the words of one command.
    Without a command it is a login shell. Flags stand before JOB.

    Input is passed on, and both outputs come apart and live. Ctrl-C goes to the command; the third one
    leaves it running and returns. A lost connection is made again, and the output goes on where it was.

    \b
    Exit codes: the command's own; 124 timed out; 2 wrong usage; 125 Mags failed, or nobody knows
    how the command ended.

    \b
    Examples:
      mags exec web                          a shell
      mags exec web 'ls -l | wc -l'
      mags exec web -- python3 -c 'print(42)'
      mags exec -t web htop
      mags exec web 'cat > notes' < notes
      mags exec --list web
    """
    if lists:
        return _list(job, as_json=as_json)
    from mags.cli import execlive

    text = command_text(command)
    wants = _Terminal.wanted(wants_terminal, has_command=text is not None)
    if wants and (as_json or no_stdin):
        raise click.UsageError(
            "A terminal has input, and its output is not collected: leave out -n and --json."
        )
    return execlive.run(
        job,
        text,
        stdin=not no_stdin,
        terminal_size=_Terminal.size() if wants else None,
        timeout=timeout,
        environment=dict(environment) or None,
        as_json=as_json,
    )


def command_text(words: tuple[str, ...]) -> str | None:
    """What the shell gets; None means a shell."""
    if not words:
        return None
    if words[0] == "--":
        if not words[1:]:
            raise click.UsageError("There is no command after --.")
        return shlex.join(words[1:])
    if len(words) > 1:
        return shlex.join(words)
    if not words[0].strip():
        raise click.UsageError("The command is empty.")
    return words[0]


class _Terminal:
    """Ours, which the command's is to look like."""

    @staticmethod
    def wanted(asked: bool, *, has_command: bool) -> bool:
        is_one = sys.stdin.isatty() and sys.stdout.isatty()
        if asked and not is_one:
            raise click.UsageError("-t needs a terminal on both sides: stdin or stdout is none here.")
        return asked or (is_one and not has_command)

    @staticmethod
    def size() -> Size:
        from shutil import get_terminal_size

        found = get_terminal_size()
        return Size(max(1, found.lines), max(1, found.columns))


def _list(job: str, *, as_json: bool) -> int:
    from mags.cli import table

    answer: ExecList = connect().exec_list(job, page_size=50)
    if as_json:
        click.echo(json.dumps(answer))
    elif not sys.stdout.isatty():
        rows = [[row.get(key) for key in KEYS] for row in answer["execs"]]
        click.echo(table.tabbed(HEADINGS, rows), nl=False)
    elif not answer["execs"]:
        terminal.note("nothing was executed yet: mags exec NAME COMMAND")
    else:
        _draw(answer["execs"])
    return 0


def _draw(execs: list[Exec]) -> None:
    from mags.cli import human, table
    from mags.cli.table import Cell, Column

    columns = [Column("Command"), Column("State"), Column("Exit", "right"), Column("Begun"), Column("ID")]
    rows: list[Any] = [
        [
            Cell(_short(row["command"] or "(a shell)")),
            Cell(row["reason"] or row["state"]),
            Cell("" if row["exit_code"] is None else str(row["exit_code"])),
            Cell(human.ago(row["created_at"])),
            Cell(row["exec_id"][:8]),
        ]
        for row in execs
    ]
    table.draw(columns, rows)


def _short(text: str) -> str:
    return text if len(text) <= COMMAND_WIDTH else text[: COMMAND_WIDTH - 1] + "…"
