"""Settings of the data port: `MAGS_DATA_PORT_*`. State directory and instance are the agent's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import get_type_hints

from hostagent.errors import ConfigError

PREFIX = "MAGS_DATA_PORT_"


@dataclass(frozen=True, slots=True)
class Settings:
    """Units are in the names."""

    address: str = "127.0.0.1"  # where it listens; on a host apart, that of the private network
    port: int = 8470
    connections_limit: int = 4096  # in all
    sandbox_connections_limit: int = 512  # to one sandbox
    head_s: float = 5.0  # for the CONNECT request
    connect_s: float = 5.0  # for a server inside to accept
    wake_s: float = 30.0  # for the agent to thaw a frozen sandbox
    exec_output_mb: int = 64  # of an exec's output that are kept: the beginning and the end
    exec_keep_s: float = 3600.0  # how long output is kept after the end
    sandbox_execs_limit: int = 64  # execs that run in one sandbox


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Loud about an unknown or malformed one."""
    environ = os.environ if environ is None else environ
    hints = get_type_hints(Settings)
    given = {k.removeprefix(PREFIX).lower(): v for k, v in environ.items() if k.startswith(PREFIX)}
    unknown = given.keys() - {field.name for field in fields(Settings)}
    if unknown:
        names = ", ".join(PREFIX + name.upper() for name in sorted(unknown))
        raise ConfigError(f"unknown settings: {names}", "see docs/reference/data-port.md")
    try:
        return Settings(**{name: hints[name](text) for name, text in given.items()})
    except ValueError as error:
        raise ConfigError(f"a setting {PREFIX}* is malformed: {error}") from error
