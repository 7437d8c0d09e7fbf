"""`python -m hostagent`: run the agent on this host, and look after it."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog
import uvloop

from hostagent import control, doctor, identity, images
from hostagent.client import Client
from hostagent.config import Config, load
from hostagent.dataport import run as data_port
from hostagent.drivers.base import Driver
from hostagent.drivers.oci import OciDriver
from hostagent.drivers.statefs import open_state
from hostagent.errors import AgentError, StaleBoot
from hostagent.imagewire import Build
from hostagent.library import Library
from hostagent.version import VERSION
from hostagent.wire import Enrolment
from hostagent.worker import DRAINING, Worker

EXIT_FAILED = 1
EXIT_STALE = 75  # EX_TEMPFAIL: another agent took over; do not restart at once


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    arguments, options = parser.parse_known_args(argv)
    if options and arguments.run is not _doctor:
        parser.error(f"unrecognized arguments: {' '.join(options)}")
    arguments.options = options
    _configure_logging()
    try:
        config = load(state_dir=arguments.state_dir, server_url=getattr(arguments, "server", None))
        status: int = arguments.run(config, arguments)
    except AgentError as error:
        sys.stderr.write(f"hostagent: {error}\n")
        return EXIT_STALE if isinstance(error, StaleBoot) else EXIT_FAILED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hostagent", description="Runs Mags sandboxes on this host.")
    parser.add_argument(
        "--state-dir", type=Path, help="where the agent keeps everything (MAGS_AGENT_STATE_DIR)"
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    enrol = commands.add_parser("enrol", help="join a server, once")
    enrol.add_argument("--server", help="its address (MAGS_AGENT_SERVER_URL)")
    token = enrol.add_mutually_exclusive_group(required=True)
    token.add_argument("token", nargs="?", help="from `manage.py host_enrolment_token`; -: read it")
    token.add_argument("--token", dest="token_option", metavar="TOKEN", help="the same")
    enrol.add_argument("--name", help="the host's name (default: the machine's)")
    enrol.set_defaults(run=_enrol)
    for name, run, text in (
        ("run", _run, "run the agent; SIGTERM leaves the sandboxes to the next one"),
        ("data", _data, "run the data port, through which gateways reach the sandboxes"),
        ("drain", _drain, "take no new work; what runs goes on"),
        ("undrain", _undrain, "take work again"),
        ("status", _status, "what the running agent does, as JSON"),
        ("down", _down, "kill all sandboxes and undo everything on this host"),
        ("version", _version, "print the version"),
    ):
        commands.add_parser(name, help=text).set_defaults(run=run)
    # `doctor` parses its own options: it also runs without the libraries that this module needs.
    check = commands.add_parser("doctor", help="say what this machine lacks", add_help=False)
    check.set_defaults(run=_doctor)
    image = commands.add_parser("image", help="root file systems").add_subparsers(
        required=True, metavar="command"
    )
    build = image.add_parser("build", help="make an image, or make it anew")
    build.add_argument("name", nargs="?", default="standard")
    build.add_argument(
        "--fresh", action="store_true", help="also where it is there already (security updates)"
    )
    build.set_defaults(run=_image_build)
    image.add_parser("list", help="images on this host").set_defaults(run=_image_list)
    imported = image.add_parser("import", help="make an image of a root file system from elsewhere")
    imported.add_argument("name", help="what jobs are to call it (rootfs_type)")
    imported.add_argument(
        "source", help="a tarball as of `docker export` (-: standard input), oci:DIRECTORY, oci-archive:FILE"
    )
    imported.set_defaults(run=_image_import)
    push = image.add_parser("push", help="publish an image to all hosts, if this host may")
    push.add_argument("name", help="NAME, or NAME@BUILD for one that is kept beside the present one")
    push.set_defaults(run=_image_push)
    return parser


def _configure_logging() -> None:
    """One line an event, on stderr. No call logs a script, an environment or a key."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=("timestamp", "level", "event")),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


def _run(config: Config, _: argparse.Namespace) -> int:
    return run_agent(config, OciDriver(config))


def run_agent(config: Config, driver: Driver) -> int:
    """Run until SIGTERM. Returns the process's exit status."""
    who = identity.load(config.state_dir)
    status = 0
    with identity.lock(config.state_dir):
        try:
            uvloop.run(_serve(replace(config, server_url=who.server), driver, who.key))
        except* StaleBoot as group:
            status = _fatal(group, EXIT_STALE)
        except* AgentError as group:
            status = _fatal(group, EXIT_FAILED)
    return status


def _data(config: Config, _: argparse.Namespace) -> int:
    try:
        data_port.run(config)
    except OSError as error:  # the port is taken, most likely
        raise AgentError(f"the data port does not start: {error}") from error
    return 0


def _fatal(group: ExceptionGroup[AgentError], status: int) -> int:
    for error in group.exceptions:
        sys.stderr.write(f"hostagent: {error}\n")
    return status


async def _serve(config: Config, driver: Driver, key: str) -> None:
    async with Client(config.server_url, key) as client:
        worker = Worker(config, driver, client)
        work = asyncio.create_task(worker.run())
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, work.cancel)
        loop.add_signal_handler(signal.SIGUSR1, worker.drain)
        async with control.serve(config.state_dir, worker.command):
            try:
                await work
            except asyncio.CancelledError:
                return


def _enrol(config: Config, arguments: argparse.Namespace) -> int:
    path = config.state_dir / identity.IDENTITY
    if path.exists():
        raise AgentError(f"this host is enrolled already: {path} exists", "remove it to join another server")
    name = arguments.name or config.host_name or socket.gethostname()
    token = arguments.token or arguments.token_option
    if token == "-":  # noqa: S105 - from where no list of processes shows it
        token = sys.stdin.readline().strip()
    answer = asyncio.run(_join(config.server_url, token, name))
    identity.save(config.state_dir, identity.Identity(answer.host_id, answer.key, config.server_url))
    sys.stdout.write(f"{name} has joined {config.server_url} as host {answer.host_id}\n")
    return 0


async def _join(server_url: str, token: str, name: str) -> Enrolment:
    async with Client(server_url) as client:
        return await client.enrol(token, name, VERSION)


def _drain(config: Config, _: argparse.Namespace) -> int:
    """Holds for an agent that is not running, too: it will come up draining."""
    config.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    (config.state_dir / DRAINING).touch()
    return _tell(config, "drain")


def _undrain(config: Config, _: argparse.Namespace) -> int:
    (config.state_dir / DRAINING).unlink(missing_ok=True)
    return _tell(config, "undrain")


def _tell(config: Config, command: str) -> int:
    try:
        asyncio.run(control.ask(config.state_dir, command))
    except AgentError:
        sys.stdout.write("noted; no agent is running now\n")
    return 0


def _status(config: Config, _: argparse.Namespace) -> int:
    answer = asyncio.run(control.ask(config.state_dir, "status"))
    sys.stdout.write(json.dumps(answer, indent=1) + "\n")
    return 0


def _down(config: Config, _: argparse.Namespace) -> int:
    """The journal stays: at its next boot the agent reports what was killed here as lost."""
    with identity.lock(config.state_dir):
        uvloop.run(_remove_all(OciDriver(config)))
    return 0


async def _remove_all(driver: Driver) -> None:
    await driver.open()  # knows then what an agent that was killed has left
    await driver.close(everything=True)


def _doctor(_: Config, arguments: argparse.Namespace) -> int:
    return doctor.main(arguments.options)


def _image_build(config: Config, arguments: argparse.Namespace) -> int:
    path = images.ensure(config, arguments.name, _progress, is_fresh=arguments.fresh)
    sys.stdout.write(f"{arguments.name} is ready at {path}\n")
    return 0


def _progress(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _image_list(config: Config, _: argparse.Namespace) -> int:
    sys.stdout.write(f"{'NAME':16} {'BUILD':48} {'SIZE':>9}  MADE\n")
    for image in images.installed(open_state(config).images):
        made = f"{datetime.fromtimestamp(image.made_at / 1000, UTC):%Y-%m-%d %H:%M}" if image.made_at else "-"
        size = f"{image.size_bytes / 1e6:.0f} MB"
        sys.stdout.write(f"{image.name:16} {image.build or '-':48} {size:>9}  {made}\n")
    return 0


def _image_import(config: Config, arguments: argparse.Namespace) -> int:
    directory = open_state(config).images
    limit_bytes = config.image_limit_gb << 30
    build = images.import_image(directory, arguments.name, arguments.source, limit_bytes=limit_bytes)
    sys.stdout.write(f"{build} is ready; `hostagent image push {arguments.name}` publishes it\n")
    return 0


def _image_push(config: Config, arguments: argparse.Namespace) -> int:
    build = asyncio.run(_push(config, arguments.name))
    sys.stdout.write(f"{build.image}: {build.build} is published\n")
    return 0


async def _push(config: Config, name: str) -> Build:
    who = identity.load(config.state_dir)
    async with Client(who.server, who.key) as client:
        image, _, build = name.partition("@")
        return await Library(open_state(config).root, client).push(image, build)


def _version(_: Config, __: argparse.Namespace) -> int:
    sys.stdout.write(f"hostagent {VERSION}\n")
    return 0
