"""The command group: loads a command only when it is used, and turns errors into exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, NoReturn

import click

import mags
from mags.cli import terminal
from mags.errors import MagsError

EXIT_USAGE = 2
EXIT_FAILED = 125  # Mags failed; smaller numbers and 126.. are the script's own
EXIT_INTERRUPTED = 130

# Where each command lives. Help lists them in this order.
COMMANDS = {
    "run": "mags.cli.run:run",
    "new": "mags.cli.sandboxes:new",
    "logs": "mags.cli.jobs:logs",
    "status": "mags.cli.jobs:status",
    "list": "mags.cli.jobs:list_",
    "stop": "mags.cli.jobs:stop",
    "exec": "mags.cli.execs:exec_",
    "ssh": "mags.cli.ssh:ssh",
    "cp": "mags.cli.ssh:cp",
    "wake": "mags.cli.sandboxes:wake",
    "set": "mags.cli.sandboxes:set_",
    "sync": "mags.cli.workspaces:sync",
    "workspace": "mags.cli.workspaces:workspace",
    "resize": "mags.cli.workspaces:resize",
    "url": "mags.cli.urls:url",
    "image": "mags.cli.images:image",
    "usage": "mags.cli.usage:usage",
    "login": "mags.cli.account:login",
    "logout": "mags.cli.account:logout",
    "whoami": "mags.cli.account:whoami",
    "token": "mags.cli.tokens:token",
    "completion": "mags.cli.completion:completion",
}


class _Formatter(click.HelpFormatter):
    def write_heading(self, heading: str) -> None:
        super().write_heading(click.style(heading, bold=True))


class _Context(click.Context):
    formatter_class = _Formatter


class StyledGroup(click.Group):
    """A group whose help looks like that of `mags`."""

    context_class = _Context

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of the source

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name)
        if command:
            command.context_class = _Context
        return command


class LazyGroup(StyledGroup):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)  # noqa: S101 - the table above is wrong otherwise
        command.context_class = _Context
        return command


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  mags run 'echo Hello World'          run a script and see its output live
  mags run build.sh                    run a script file
  mags run -- python3 -c 'print(42)'   run one command
  mags run --detach -n nightly job.sh  start it, print its id and return
  mags logs -f nightly                 follow it
  mags stop nightly                    end it
  mags run -w web -p install.sh        keep its files for good
  mags new web -p --url                a sandbox that stays, at a URL of its own
  mags workspace versions web          see what was saved, and when

\b
The server and the token come from MAGS_API_URL and MAGS_API_TOKEN, else from `mags login`.
""",
)
@click.version_option(mags.__version__, "-V", "--version", message="mags %(version)s")
@click.pass_context
def app(ctx: click.Context) -> None:
    """Run scripts in isolated sandboxes on your own servers."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        ctx.color = False
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code."""
    sys.exit(_exit_code(args))


def _exit_code(args: list[str] | None) -> int:
    try:
        return _code(app.main(args, prog_name="mags", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo(err=True)
        return EXIT_INTERRUPTED
    except MagsError as error:
        terminal.show_error(error)
        return EXIT_USAGE if error.code == "bad_argument" else EXIT_FAILED
    except OSError as error:
        terminal.show_error(MagsError(f"{error.filename or 'mags'}: {error.strerror or error}"))
        return EXIT_FAILED


def _code(returned: Any) -> int:
    """Commands return their exit code, or nothing for 0."""
    return returned if isinstance(returned, int) else 0
