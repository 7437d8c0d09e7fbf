"""Settings by environment, `MAGS_GATEWAY_*`. Described in docs/reference/gateway.md (a test compares)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, get_type_hints

PREFIX = "MAGS_GATEWAY_"
_FILE = "_FILE"  # MAGS_GATEWAY_KEY_FILE: the value is in that file


class SettingsError(Exception):
    """Says which setting and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Units are in the names."""

    control_url: str = "http://127.0.0.1:8080"
    key: str = ""  # what this gateway shows the control plane
    address: str = "127.0.0.1"
    port: int = 8081
    ssh_address: str = "127.0.0.1"
    apps_domain: str = "apps.localhost"
    path_host: str = ""  # serves /-/<label>/ too; empty: nobody does
    trusted_proxies: str = ""  # networks whose X-Forwarded-* are believed, space-separated

    connections_limit: int = 8192
    address_connections_limit: int = 1024  # from one address that is no trusted proxy
    line_limit_bytes: int = 16 * 1024  # request line
    field_limit_bytes: int = 32 * 1024  # one header
    headers_limit: int = 128

    head_s: float = 30.0  # for a request's head, and between two requests on a connection
    body_quiet_s: float = 60.0  # between two parts of a request's body
    answer_s: float = 600.0  # from the last part of a request to the answer's head
    connect_s: float = 3.0  # to a host
    wake_s: float = 60.0  # for a sandbox to run
    waiting_page_s: float = 2.0  # after which a browser is shown that it wakes
    grace_s: float = 30.0  # for what is under way when the gateway is stopped

    def trusted_networks(self) -> list[IPv4Network | IPv6Network]:
        return [ip_network(text) for text in self.trusted_proxies.split()]


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Loud about what is unknown, malformed or missing."""
    given = _given(os.environ if environ is None else environ)
    hints = get_type_hints(Settings)
    unknown = given.keys() - {field.name for field in fields(Settings)}
    if unknown:
        names = ", ".join(PREFIX + name.upper() for name in sorted(unknown))
        raise SettingsError(f"unknown settings: {names}; see docs/reference/gateway.md")
    settings = Settings(**{name: _parse(name, text, hints[name]) for name, text in given.items()})
    if not settings.key:
        raise SettingsError(f"{PREFIX}KEY or {PREFIX}KEY_FILE is needed: the gateway's key")
    try:
        settings.trusted_networks()
    except ValueError as error:
        raise SettingsError(f"{PREFIX}TRUSTED_PROXIES: {error}") from error
    return settings


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    values = {k.removeprefix(PREFIX): v for k, v in environ.items() if k.startswith(PREFIX)}
    for name in [name for name in values if name.endswith(_FILE)]:
        path = Path(values.pop(name))
        try:
            values[name.removesuffix(_FILE)] = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{PREFIX}{name}: {error}") from error
    return {name.lower(): value for name, value in values.items()}


def _parse(name: str, text: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError as error:
        raise SettingsError(f"{PREFIX}{name.upper()}={text!r} is not a {kind.__name__}") from error
