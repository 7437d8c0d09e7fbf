"""Which DNS servers a sandbox uses: the setting, else those of the machine that a sandbox can reach."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from hostagent.config import Config
from hostagent.errors import ConfigError

# The second holds the real servers where the first only names systemd-resolved on a loopback address.
SOURCES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
HINT = (
    "set MAGS_AGENT_RESOLVERS to the addresses of one or more DNS servers, for example those of your provider"
)


def resolvers(config: Config, sources: tuple[Path, ...] = SOURCES) -> list[IPv4Address | IPv6Address]:
    """At least one address, in order of preference, or `ConfigError`."""
    if config.resolvers:
        try:
            named = [ip_address(text) for text in config.resolvers.split()]
        except ValueError as error:
            raise ConfigError(f"MAGS_AGENT_RESOLVERS: {error}", HINT) from error
        if unusable := [str(address) for address in named if not _is_reachable(address)]:
            raise ConfigError(
                f"no sandbox can reach the DNS server {', '.join(unusable)} of this machine", HINT
            )
        return named
    for source in sources:
        if found := [address for address in _nameservers(source) if _is_reachable(address)]:
            return found
    raise ConfigError(f"{sources[0]} names no DNS server that a sandbox can reach", HINT)


def _nameservers(path: Path) -> list[IPv4Address | IPv6Address]:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            found.append(ip_address(words[1]))
        except ValueError:
            continue
    return found


def _is_reachable(address: IPv4Address | IPv6Address) -> bool:
    """Loopback and link-local addresses mean another machine inside a sandbox's namespace."""
    return not (
        address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
    )
