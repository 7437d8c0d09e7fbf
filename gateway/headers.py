"""Headers on their way through: what belongs to one connection stays there, and who asks is said anew."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from multidict import CIMultiDict

from gateway.names import Site

Raw = Iterable[tuple[bytes, bytes]]

# RFC 9110 7.6.1, and what older servers take for one of them.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# What a server inside believes only because we say it.
CLAIMS = frozenset(
    {
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-server",
        "x-real-ip",
    }
)


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose word about the visitor is taken."""

    networks: list[IPv4Network | IPv6Network]

    def holds(self, address: str) -> bool:
        """`address` of a connection's other end."""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:  # it is gone already, and nobody knows who it was
            return False
        return any(found.version == network.version and found in network for network in self.networks)


def end_to_end(raw: Raw) -> CIMultiDict[str]:
    """All headers but those of the connection they came on."""
    decoded = [(_text(name), _text(value)) for name, value in raw]
    listed = {
        option.strip().lower()
        for name, value in decoded
        if name.lower() == "connection"
        for option in value.split(",")
    }
    dropped = HOP_BY_HOP | listed
    return CIMultiDict((name, value) for name, value in decoded if name.lower() not in dropped)


def to_sandbox(raw: Raw, site: Site, peer: str, *, is_trusted: bool) -> CIMultiDict[str]:
    """A request's headers as the server inside gets them. `peer`: who is connected to us."""
    headers = end_to_end(raw)
    before = {name: ", ".join(headers.getall(name, [])) for name in CLAIMS} if is_trusted else {}
    for name in CLAIMS:
        headers.popall(name, None)
    headers.popall("Expect", None)  # answered here
    if "Host" not in headers:  # named in Connection: it is ours to set all the same
        headers["Host"] = site.host
    chain = before.get("x-forwarded-for")
    headers["X-Forwarded-For"] = f"{chain}, {peer}" if chain else peer
    headers["X-Forwarded-Proto"] = before.get("x-forwarded-proto") or "http"
    headers["X-Forwarded-Host"] = before.get("x-forwarded-host") or site.host
    if site.prefix:
        headers["X-Forwarded-Prefix"] = site.prefix
    return headers


def from_sandbox(raw: Raw, site: Site) -> CIMultiDict[str]:
    """An answer's headers as the visitor gets them."""
    raw = list(raw)
    headers = end_to_end(raw)
    if any(name.lower() == b"transfer-encoding" for name, _ in raw):
        headers.popall("Content-Length", None)  # it does not count, and ours would be wrong
    location = headers.get("Location", "")
    if site.prefix and location.startswith("/") and not location.startswith("//"):
        headers["Location"] = site.prefix + location
    return headers


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
