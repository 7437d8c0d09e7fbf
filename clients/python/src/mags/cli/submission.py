"""The flags that say how a sandbox is to be, of `mags run` and `mags new`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from mags.cli import options, uploads

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = TypeVar("Command", bound=Callable[..., Any])

_FLAGS = (
    click.option("--url", is_flag=True, help="Give the sandbox a public URL. Needs -p."),
    click.option(
        "--port", type=click.IntRange(1, 65535), metavar="N", help="Where the URL leads. [default: 8080]"
    ),
    click.option("--no-sleep", is_flag=True, help="Never sleep, and come back after a loss. Needs -p."),
    click.option(
        "--startup-command", metavar="CMD", help="Run this whenever the sandbox is made anew. Needs -p."
    ),
    click.option(
        "-f",
        "--file",
        "files",
        metavar="FILE",
        multiple=True,
        callback=uploads.checked,
        help="Put it into /uploads first. May be repeated.",
    ),
    click.option(
        "--env",
        "environment",
        type=options.variable,
        metavar="K=V",
        multiple=True,
        help="Set a variable; K alone copies yours.",
    ),
    click.option(
        "--image", "--rootfs", metavar="NAME", help="Run on this image; `mags image list` lists them."
    ),
    click.option("--memory", type=options.megabytes, metavar="SIZE", help="Memory limit: 512m, 2g."),
    click.option("--cpus", type=click.IntRange(min=1), metavar="N", help="Number of CPUs."),
    click.option("--disk", type=options.gigabytes, metavar="GB", help="Disk limit in GB."),
)


def flags(command: Command) -> Command:
    """Adds the flags to a command, which gives them to `options_of`."""
    for flag in reversed(_FLAGS):  # decorators are applied from below
        command = flag(command)
    return command


def options_of(
    *,
    persistent: bool,
    url: bool,
    port: int | None,
    no_sleep: bool,
    startup_command: str | None,
    environment: tuple[tuple[str, str], ...],
    image: str | None,
    memory: int | None,
    cpus: int | None,
    disk: int | None,
    **_others: Any,
) -> dict[str, Any]:
    """The SDK's options that the flags mean. Those that make no sense together are wrong usage."""
    ends = "without it the sandbox ends with its script."
    if url and not persistent:
        raise click.UsageError(f"--url needs -p: {ends}")
    if port and not url:
        raise click.UsageError("--port says where the URL leads: it needs --url.")
    if no_sleep and not persistent:
        raise click.UsageError(f"--no-sleep needs -p: {ends}")
    if startup_command and not persistent:
        raise click.UsageError(f"--startup-command needs -p: {ends}")
    return {
        "url": url,
        "port": port,
        "no_sleep": no_sleep,
        "startup_command": startup_command,
        "environment": dict(environment) or None,
        "rootfs_type": image,
        "memory_mb": memory,
        "vcpus": cpus,
        "disk_gb": disk,
    }
