"""How values of flags are read."""

from __future__ import annotations

import os
import re

import click

_MEGABYTES = {"": 1, "m": 1, "mb": 1, "mi": 1, "mib": 1, "g": 1024, "gb": 1024, "gi": 1024, "gib": 1024}
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def megabytes(text: str) -> int:
    """`512`, `512m` or `2g` as MB."""
    found = re.fullmatch(r"(\d{1,9}) ?([a-z]*)", text.lower())
    if not found or found[2] not in _MEGABYTES or int(found[1]) == 0:
        raise click.BadParameter(f"{text!r} is not a size. Give MB as a number, or one like 512m or 2g.")
    return int(found[1]) * _MEGABYTES[found[2]]


def gigabytes(text: str) -> int:
    """`10` or `10g` as GB."""
    found = re.fullmatch(r"(\d{1,6}) ?(g|gb|gi|gib)?", text.lower())
    if not found or int(found[1]) == 0:
        raise click.BadParameter(f"{text!r} is not a size in whole GB. Give one like 10 or 10g.")
    return int(found[1])


def seconds(text: str) -> int:
    """`90`, `90s`, `5m`, `1h` or `2d` as seconds."""
    found = re.fullmatch(r"(\d{1,9})([smhd]?)", text.lower())
    if not found or int(found[1]) == 0:
        raise click.BadParameter(f"{text!r} is not a time. Give seconds, or one like 90s, 5m or 1h.")
    return int(found[1]) * _SECONDS[found[2]]


def version(text: str) -> int:
    """`3` or `v3` as 3."""
    found = re.fullmatch(r"v?([1-9]\d{0,9})", text)
    if not found:
        raise click.BadParameter(f"{text!r} is not a version. Give its number, like 3.")
    return int(found[1])


def variable(text: str) -> tuple[str, str]:
    """`K=V`, or `K` with the value that it has here."""
    name, has_value, value = text.partition("=")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise click.BadParameter(f"{name!r} is not a variable's name. Give one like KEY=value.")
    if has_value:
        return name, value
    if name not in os.environ:
        raise click.BadParameter(f"{name} is not set here. Give it a value: {name}=value.")
    return name, os.environ[name]
