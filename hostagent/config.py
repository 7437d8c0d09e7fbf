"""The agent's settings: argument, then environment (`MAGS_AGENT_*`), then `.env`, then default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, get_type_hints

from hostagent.errors import ConfigError

PREFIX = "MAGS_AGENT_"

# Addresses a sandbox never reaches: private, carrier-grade NAT, link-local (cloud metadata), multicast,
# reserved. The documentation ranges stay open on purpose: private mirrors use them.
DENY_DEFAULT = (
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16"
    " 198.18.0.0/15 224.0.0.0/4 240.0.0.0/4"
    " ::/128 ::1/128 ::ffff:0:0/96 64:ff9b::/96 64:ff9b:1::/48 2002::/16 fc00::/7 fe80::/10 ff00::/8"
)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set. Units are in the names."""

    server_url: str = "http://127.0.0.1:8080"
    state_dir: Path = Path("var/agent")  # identity, journal; the btrfs is mounted or found below it
    # ^[a-z][a-z0-9]{0,7}$: prefix of cgroups, interfaces, nft table; one per agent on a machine
    instance: str = "mags"
    host_name: str = ""  # empty: the machine's host name
    data_address: str = "127.0.0.1:8470"  # where gateways reach the data port; empty: nowhere

    # Sandbox engine
    runtime: str = "crun"  # name or path of an OCI runtime
    conmon: str = "conmon"
    init: str = "/usr/bin/tini-static"  # pid 1 inside, bind mounted read-only
    sandboxes: int = 16  # capacity and size of the pool of prepared slots
    memory_mb: int = 0  # what sandboxes may hold together; 0: 80 % of the machine's
    pids_limit: int = 512
    vcpus_limit: int = 0  # most vcpus one sandbox may ask for; 0: the machine's
    id_base: int = 1_048_576  # first host id of the first sandbox's 65,536 (host ids below are never mapped)
    state_image_gb: int = 40  # size of the sparse btrfs file, where state_dir is not btrfs
    image_limit_gb: int = 20  # an imported image is no larger, unpacked
    image_publish_s: int = 60  # after its start, an agent that may publishes new builds; 0: never
    image_cache_dir: Path = Path("var/cache/images")  # built tarballs; any number of agents may share it
    is_tenant_image: bool = True  # a tenant's sandboxes use its own snapshot of the image
    shim_cpu_percent: int = 25  # CPU of one conmon: bounds how fast a flood can grow the spool

    # Workspaces
    volume_cache_gb: int = 20  # saved volumes that nobody uses may take so much together
    local_volume_s: int = 600  # a volume that is not to be saved stays so long after its last use
    lost_volume_h: int = 24  # unsaved files that the control plane does not take any more stay so long

    # Network
    network4: str = "10.213.0.0/18"  # point-to-point /30s are cut from it
    network6: str = "fd6d:6167:7300::/64"
    deny: str = DENY_DEFAULT  # space-separated networks
    resolvers: str = ""  # space-separated; empty: the machine's /etc/resolv.conf
    connections_limit: int = 1024  # conntrack entries of one sandbox
    is_smtp_blocked: bool = True
    ca_bundle: str = "/etc/ssl/certs/ca-certificates.crt"  # trusted inside; empty: the image's own

    # Output
    log_head_bytes: int = 16 * 1024 * 1024  # token bucket: burst stored in full
    log_rate_bytes: int = 256 * 1024  # token bucket: refill a second
    log_total_bytes: int = 64 * 1024 * 1024  # stored cap of one job
    log_tail_bytes: int = 64 * 1024  # the last part, always kept
    stop_grace_ms: int = 1000  # between SIGTERM and SIGKILL

    def data_port(self) -> tuple[str, int] | None:
        """Address and port of the data port, as gateways see it."""
        if not self.data_address:
            return None
        address, _, port = self.data_address.rpartition(":")
        try:
            if not 0 < int(port) < 65_536:
                raise ValueError(port)
            return str(ip_address(address.strip("[]"))), int(port)
        except ValueError as error:
            raise ConfigError(
                f"{PREFIX}DATA_ADDRESS={self.data_address!r} is no address",
                "write 10.0.0.5:8470 or [fd00::5]:8470",
            ) from error

    def deny_networks(self) -> list[IPv4Network | IPv6Network]:
        return [ip_network(text) for text in self.deny.split()]


def load(environ: Mapping[str, str] | None = None, **arguments: Any) -> Config:
    """Settings from arguments, then the environment; loud about an unknown or malformed one."""
    environ = os.environ if environ is None else environ
    known = {f.name for f in fields(Config)}
    unknown = {k for k in environ if k.startswith(PREFIX) and k.removeprefix(PREFIX).lower() not in known}
    if unknown:
        raise ConfigError(f"unknown settings: {', '.join(sorted(unknown))}", "see docs/reference/settings.md")
    hints = get_type_hints(Config)
    values: dict[str, Any] = {}
    for name in known:
        text = environ.get(PREFIX + name.upper())
        if text is not None:
            values[name] = _parse(name, text, hints[name])
    values.update({k: v for k, v in arguments.items() if v is not None})
    return Config(**values)


def _parse(name: str, text: str, kind: type) -> Any:
    try:
        if kind is bool:
            words = {"1": True, "true": True, "on": True, "0": False, "false": False, "off": False}
            return words[text.lower()]
        return kind(text)
    except (ValueError, KeyError) as error:
        raise ConfigError(f"{PREFIX}{name.upper()}={text!r} is not a {kind.__name__}") from error
