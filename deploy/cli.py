"""The commands behind `make`. Runs inside `.venv`; `__main__` got us here."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from deploy import down as downing
from deploy import hosts
from deploy import layout as layouts
from deploy import up as upping
from deploy.agents import agents_of
from deploy.errors import SetupError
from deploy.layout import ROOT, Layout
from deploy.processes import PYTHON, drop_rights, environment_for_command, server_environment
from deploy.progress import say
from deploy.stack import Stack
from deploy.supervise import Supervisor


def up(layout: Layout) -> None:
    began = time.monotonic()
    _welcome(upping.up(layout), began)


def restart(layout: Layout) -> None:
    began = time.monotonic()
    _welcome(upping.restart(layout), began)


def _welcome(stack: Stack, began: float) -> None:
    said = upping.hello(stack)
    layout = stack.layout
    say(f"\n  $ mags run 'echo Hello World'\n  {said}\n")
    say(f"  Dashboard   {layout.public_url}")
    say(f"  Sign in     {upping.ADMIN_EMAIL}  {stack.credentials.admin_password}")
    say(f"  API token   MAGS_API_TOKEN in {layout.dev_env}")
    say(f"\n  Up in {time.monotonic() - began:.1f} s. `make status`, `make logs`, `make down`.")


def down(layout: Layout) -> None:
    downing.down(layout)
    say("  Nothing is left running or mounted.")


def clean(layout: Layout) -> None:
    downing.clean(layout)
    say("  Nothing is left running or mounted, and all state is gone.")


def status(layout: Layout) -> None:
    supervisor = Supervisor(layout)
    if not supervisor.is_up():
        raise SetupError("the stack is not running", "run `make up`")
    for state in supervisor.states():
        say(f"  {state.name:8} {state.state:9} {state.description}")
    say(f"\n  Dashboard  {layout.public_url}")
    say(f"  URLs       {layout.url_form.format(label='<id or alias>')}")


def logs(layout: Layout) -> None:
    """Follow all logs until Ctrl-C."""
    files = [str(path) for path in sorted(layout.log.glob("*.log"))]
    if not files:
        raise SetupError("there are no logs yet", "run `make up`")
    os.execvp("tail", ["tail", "--lines=20", "--follow=name", "--quiet", *files])  # noqa: S606 - argument list


def manage(layout: Layout, arguments: list[str]) -> None:
    """manage.py with the environment and the user of the servers."""
    stack = Stack.load(layout)
    command = [*drop_rights(stack.user), PYTHON, "manage.py", *arguments]
    environment = environment_for_command(layout, server_environment(layout, stack.credentials))
    os.chdir(ROOT)
    os.execvpe(command[0], command, environment)  # noqa: S606 - argument list


def hostagent(layout: Layout, arguments: list[str]) -> None:
    """hostagent with the settings of this machine's own agent. Files are named from where the caller is."""
    own = agents_of(layout)[0]
    cache = {"MAGS_AGENT_IMAGE_CACHE_DIR": str(ROOT / "var/cache/images")}
    environment = {**cache, **environment_for_command(layout, own.environment), "PYTHONPATH": str(ROOT)}
    os.execvpe(PYTHON, [PYTHON, "-m", "hostagent", *arguments], environment)  # noqa: S606 - argument list


def host(layout: Layout, arguments: list[str]) -> None:
    """Add a further host on this machine, or remove it."""
    parser = argparse.ArgumentParser(prog="python3 -m deploy host")
    commands = parser.add_subparsers(required=True, dest="command", metavar="command")
    adding = commands.add_parser("add", help="start a further agent on this machine")
    adding.add_argument("name")
    adding.add_argument("settings", nargs="*", metavar="MAGS_AGENT_...=VALUE")
    removing = commands.add_parser("remove", help="end it, with all that it made")
    removing.add_argument("name")
    removing.add_argument(
        "--force", action="store_true", help="also with work on it; loses what is not saved"
    )
    options = parser.parse_args(arguments)
    if options.command == "add":
        settings = dict(_pair(text) for text in options.settings)
        hosts.add(layout, options.name, settings)
        say(f"\n  {options.name} is a host. `python3 -m deploy host remove {options.name}` ends it.")
    else:
        hosts.remove(layout, options.name, is_forced=options.force)
        say(f"  Nothing of {options.name} is left.")


def _pair(text: str) -> tuple[str, str]:
    key, is_pair, value = text.partition("=")
    if not is_pair:
        raise SetupError(f"{text!r} is no setting", "write MAGS_AGENT_SANDBOXES=8, for example")
    return key, value


COMMANDS: dict[str, Callable[[Layout], None]] = {
    "up": up, "down": down, "clean": clean, "restart": restart, "status": status, "logs": logs,
}  # fmt: skip
WITH_ARGUMENTS: dict[str, Callable[[Layout, list[str]], None]] = {
    "manage": manage, "host": host, "hostagent": hostagent,
}  # fmt: skip
CHANGES = {"up", "down", "clean", "restart", "host"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m deploy")
    parser.add_argument("command", choices=sorted([*COMMANDS, *WITH_ARGUMENTS]))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of `host`, hostagent and manage.py")
    options = parser.parse_args()
    name = options.command
    try:
        if name in CHANGES:
            _take_lock()
        if name in WITH_ARGUMENTS:
            WITH_ARGUMENTS[name](layouts.load(), options.arguments)
        else:
            COMMANDS[name](layouts.load())
    except SetupError as error:
        sys.exit(f"\nmags: {error}")
    except KeyboardInterrupt:
        sys.exit("\nmags: interrupted; the same command goes on from here")


def _take_lock() -> None:
    """One change at a time. The lock lives outside var/, which `clean` removes; the kernel lets go of it."""
    descriptor = os.open(Path(__file__).parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SetupError("another `make up`, `down` or `clean` is under way", "wait for it") from None


if __name__ == "__main__":
    main()
