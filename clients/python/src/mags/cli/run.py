"""`mags run`"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from mags.cli import options, submission, terminal
from mags.cli.connect import connect

_COMMAND = "mags.cli.run.command"  # where the words after -- wait in the context


class RunCommand(click.Command):
    """A command that keeps what follows `--` apart, as the words of one command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta[_COMMAND] = args[at + 1 :]
            args = args[:at]
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            hint = "To run a command with flags of its own, put it after --: mags run -- ls -l"
            raise click.UsageError(f"{error.format_message()} {hint}", ctx) from None


@click.command(cls=RunCommand, options_metavar="[FLAGS]", short_help="Run a script; see its output live.")
@click.argument("script", nargs=-1, metavar="SCRIPT | FILE | - | -- CMD [ARGS]...")
@click.option(
    "-w", "--workspace", metavar="NAME", help="Keep files under this name; the job's too without -n."
)
@click.option(
    "-n", "--name", metavar="NAME", help="A name to find the job by; the workspace's too without -w or -e."
)
@click.option("-p", "--persistent", is_flag=True, help="Keep them for good, and the sandbox up.")
@click.option("-e", "--ephemeral", is_flag=True, help="Keep nothing.")
@click.option("--base", metavar="NAME", help="Begin with the files of this workspace; it stays as it is.")
@click.option("--no-sync", is_flag=True, help="Do not save the workspace at the end.")
@submission.flags
@click.option(
    "--timeout", type=options.seconds, metavar="TIME", help="End the script after this long: 90s, 5m, 1h."
)
@click.option("--retries", type=click.IntRange(min=0), metavar="N", help="Start it again when it failed.")
@click.option("-d", "--detach", is_flag=True, help="Print the job's id and return at once.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object at the end instead of the output."
)
@click.pass_context
def run(ctx: click.Context, /, *, script: tuple[str, ...], **given: Any) -> int:
    """Run a script in a fresh sandbox, stream its output and exit with its exit code.

    A single argument that names an existing file is a script file; - reads the script from
    stdin; any other single argument is the script itself. After --, the words are one command.

    \b
    What becomes of its files:
      (nothing)    gone at the end; fastest
      -w NAME      there for the next run with -w NAME; gone 10 minutes after the last,
                   unless the workspace was saved before
      -w NAME -p   saved for good, every minute and at the end; the sandbox stays, and
                   sleeps while nobody needs it
      --base NAME  begins with the files of NAME; changes are kept only with -w

    \b
    Ctrl-C stops the job; a second Ctrl-C leaves it running and returns.

    \b
    Exit codes: the script's own; 2 wrong usage; 125 the script could not run to its end
    (out of memory, timed out, host lost, server unreachable ...); 130 interrupted.

    \b
    Examples:
      mags run 'echo Hello World'
      mags run --env TOKEN --timeout 10m deploy.sh
      mags run --memory 4g -- python3 -m pytest -q
      echo 'uname -a' | mags run -
      mags run -w web -p 'pip install flask'
      mags run -w web -p --url --port 8000 'python3 -m http.server 8000 &'
      mags run --base web -f app.py 'python3 /uploads/app.py'
    """
    from mags.cli import watch

    text = script_text(script, ctx.meta.get(_COMMAND))
    wanted = {
        **_kept(**given),
        **submission.options_of(**given),
        "timeout_s": given["timeout"],
        "retries": given["retries"],
    }
    client = connect()
    with watch.Interrupts() as interrupts:
        if given["files"]:
            wanted["file_ids"] = watch.send_files(client, interrupts, given["files"])
        submitted = watch.submit(client, interrupts, text, wanted)
        request_id = submitted["request_id"]
        if given["detach"]:
            click.echo(json.dumps(submitted) if given["as_json"] else request_id)
            if not given["as_json"]:
                terminal.note(f"follow it with: mags logs -f {wanted['name'] or request_id}")
            return 0
        job_watch = watch.Watch(client, request_id, interrupts)
        return job_watch.collect() if given["as_json"] else job_watch.stream()


def _kept(
    *,
    workspace: str | None,
    name: str | None,
    persistent: bool,
    ephemeral: bool,
    base: str | None,
    no_sync: bool,
    **_others: Any,
) -> dict[str, Any]:
    """The options that say what becomes of the files, and the name that comes with them."""
    if ephemeral and (workspace or persistent):
        raise click.UsageError(
            f"-e keeps nothing and {'-w' if workspace else '-p'} keeps something: leave one of them out."
        )
    return {
        "name": name or workspace,
        "workspace_id": workspace or (None if ephemeral else name),
        "persistent": persistent,
        "base_workspace_id": base,
        "no_sync": no_sync,
    }


def script_text(arguments: tuple[str, ...], command: list[str] | None) -> str:
    """The script that the arguments mean."""
    if command is not None:
        if arguments:
            raise click.UsageError("Give either a script or a command after --, not both.")
        if not command:
            raise click.UsageError("There is no command after --.")
        return shlex.join(command)
    if not arguments:
        raise click.UsageError("Give a script, a script file, - for stdin, or a command after --.")
    if len(arguments) > 1:
        raise click.UsageError(
            "That is more than one argument. Quote the script (mags run 'echo hi'),"
            f" or put a command after --: mags run -- {shlex.join(arguments)}"
        )
    return _from_argument(arguments[0])


def _from_argument(argument: str) -> str:
    if argument == "-":
        return _decoded(sys.stdin.buffer.read(), "stdin")
    try:
        is_file = Path(argument).is_file()
    except (OSError, ValueError):  # too long for a path, or NUL in it: it is a script
        is_file = False
    if is_file:
        return _decoded(Path(argument).read_bytes(), argument)
    if not argument.strip():
        raise click.UsageError("The script is empty.")
    return argument


def _decoded(content: bytes, source: str) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise click.UsageError(f"{source} is not UTF-8 text, so it is no script.") from None
    if not text.strip():
        raise click.UsageError(f"{source} is empty.")
    return text
