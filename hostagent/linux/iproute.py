"""iproute2 and nft, run to their end in the calling thread's network namespace. Blocking.

A batch of `ip` commands in one process takes 2-3 ms. pyroute2 is no faster for what we do here, holds
Python's lock meanwhile and takes 150 ms to import.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from hostagent.errors import DriverError

TIMEOUT_S = 30  # all of these answer in milliseconds; a kernel that hangs must not hang the agent for ever


def batch(commands: Sequence[str], *, is_forced: bool = False) -> None:
    """Run `ip` commands in order. `is_forced` goes on after one that fails and raises nothing."""
    if commands:
        _run(
            ["ip", *(["-force"] if is_forced else []), "-batch", "-"],
            "\n".join(commands),
            is_checked=not is_forced,
        )


def link_names() -> list[str]:
    return [link["ifname"] for link in _ip_json("link", "show")]


def addresses() -> list[dict[str, Any]]:
    """Every interface with its `addr_info`."""
    return _ip_json("address", "show")


def default_routes(family: int) -> list[dict[str, Any]]:
    return _ip_json(f"-{family}", "route", "show", "default")


def route_to(address: str) -> list[dict[str, Any]]:
    """The route that a packet of this machine takes; empty where there is none."""
    return _ip_json("route", "get", address, is_checked=False)


def link_mtu(name: str) -> int:
    return int(_ip_json("link", "show", "dev", name)[0]["mtu"])


def nft(rules: str) -> None:
    """Apply a text of nft commands as one transaction: all of it or nothing."""
    _run(["nft", "-f", "-"], rules)


def nft_table(name: str) -> str:
    """The text of an inet table; empty where there is none."""
    return _run(["nft", "list", "table", "inet", name], is_checked=False)


def _ip_json(*arguments: str, is_checked: bool = True) -> list[dict[str, Any]]:
    found = json.loads(_run(["ip", "-json", *arguments], is_checked=is_checked) or "[]")
    return [item for item in found if item]


def _run(argv: list[str], text: str = "", *, is_checked: bool = True) -> str:
    try:
        done = subprocess.run(
            argv, input=text, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except FileNotFoundError as error:
        raise DriverError(f"{argv[0]} is not installed", "run: hostagent doctor") from error
    except subprocess.TimeoutExpired as error:
        raise DriverError(f"{' '.join(argv)} did not end within {TIMEOUT_S} s") from error
    if is_checked and done.returncode:
        raise DriverError(f"{' '.join(argv)} failed: {done.stderr.strip()}")
    return done.stdout
