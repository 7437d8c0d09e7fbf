"""`mags ssh`, `cp`: the system's own ssh and scp, with the right port, keys and options."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from mags.cli import terminal
from mags.cli.connect import connect
from mags.errors import MagsError

if TYPE_CHECKING:
    from mags.cli.sshfiles import Login

OTHER_HOST = "what is behind this port is another sandbox than the last time, or has other keys"


class _SshCommand(click.Command):
    """What follows the job's name is for ssh, options too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        words = ctx.params.get("words") or ()
        ctx.params["words"] = words[1:] if words[:1] == ("--",) else words
        return rest


@click.command(
    cls=_SshCommand,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    options_metavar="[FLAGS]",
    short_help="Log in to a sandbox, or run one command in it.",
)
@click.option("--config", "is_config", is_flag=True, help="Print a block for ~/.ssh/config instead.")
@click.option("--revoke", is_flag=True, help="Revoke your key, and end your open sessions, instead.")
@click.argument("job")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGS...]")
def ssh(job: str, words: tuple[str, ...], *, is_config: bool, revoke: bool) -> None:
    """Log in to the sandbox of JOB (an id, a name, or its workspace's name) as root.

    One that sleeps, or was stopped, gets up first. ARGS are ssh's own: options, then a command. The exit
    code is the command's; 255 means that ssh failed.

    \b
    Examples:
      mags ssh web
      mags ssh web -- uname -a
      mags ssh web -- -L 5432:localhost:5432 -N
      mags ssh --config web >> ~/.ssh/config      for rsync, VS Code and others: ssh mags-web
    """
    if revoke:
        _revoke(job)
    elif is_config:
        click.echo(_login(job).config(f"mags-{terminal.printable(job)}"))
    else:
        program = _program("ssh")
        login = _login(job)
        _become(program, ["-p", str(login.port), *login.words, login.destination, *words])


@click.command(options_metavar="[FLAGS]", short_help="Copy files to or from a sandbox.")
@click.option("-r", "--recursive", is_flag=True, help="Directories, with all that is in them.")
@click.argument("sources", nargs=-1, required=True, metavar="FROM...")
@click.argument("target", metavar="TO")
def cp(sources: tuple[str, ...], target: str, *, recursive: bool) -> None:
    """Copy files, by scp. What is in a sandbox is written JOB:PATH; paths that do not begin with a slash
    are relative to /root.

    \b
    Examples:
      mags cp app.py web:/srv/
      mags cp -r web:/var/log ./logs
    """
    jobs = {job for job, _ in map(_parsed, (*sources, target)) if job}
    is_upload = _parsed(target)[0] is not None
    if len(jobs) != 1 or any((_parsed(source)[0] is None) != is_upload for source in sources):
        raise click.UsageError(
            "Give files of this machine on one side, and JOB:PATH of one job on the other."
        )
    program = _program("scp")
    login = _login(jobs.pop())
    paths = [_scp_path(word, login) for word in (*sources, target)]
    flags = ["-r"] if recursive else []
    _become(program, ["-P", str(login.port), *login.words, *flags, "--", *paths])


def _parsed(word: str) -> tuple[str | None, str]:
    """The job, if it names one, and the path. As for scp, a colon behind a slash is the path's."""
    job, colon, path = word.partition(":")
    return (job, path) if colon and job and "/" not in job else (None, word)


def _scp_path(word: str, login: Login) -> str:
    job, path = _parsed(word)
    if job is None:
        return path if path.startswith("/") else f"./{path}"  # a colon in it means nothing then
    host = f"[{login.host}]" if ":" in login.host else login.host
    return f"{login.user}@{host}:{path}"


def _program(name: str) -> str:
    """Looked for before anything is asked of the server."""
    found = shutil.which(name)
    if found is None:
        raise MagsError(
            f"{name} is not installed here.",
            code="no_ssh",
            remediation="Install the OpenSSH client (`apt install openssh-client`), then try again.",
        )
    return found


def _login(job: str) -> Login:
    from mags.cli import progress, sshfiles

    with progress.waiting(f"waking {job}"):
        access = connect().ssh(job)
    login = sshfiles.write(access)
    if login.is_other_host:
        terminal.note(OTHER_HOST)
    return login


def _become(program: str, arguments: list[str]) -> NoReturn:
    """Signals, terminal and exit code are ssh's own from here on."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(program, [program, *arguments])  # noqa: S606 - no shell is wanted


def _revoke(job: str) -> None:
    answer = connect().ssh_key_revoke(job)
    shown = terminal.printable(job)
    click.echo(f"Your SSH key to {shown} is revoked.")
    if not answer["in_force"]:
        terminal.note("its host has not answered yet: an open session may last until it does")
