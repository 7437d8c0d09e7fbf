"""The firewall: one nftables table for one agent, made once for all its slots. A start costs no nft call.

Slots are told apart by interface name. A packet of a sandbox passes `guard` (is its source its own?), then
`local` (to this machine) or `leave` (to anywhere else). What is not allowed is refused at once, not dropped:
a user sees "refused".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from hostagent.network.layout import Layout

SMTP_PORTS = "25, 465, 587"
MARK = "mags-network"  # in the table's comment, with a digest of its rules: an equal table is left alone


@dataclass(frozen=True, slots=True)
class Policy:
    """What the rules are made from, besides the layout."""

    indices: tuple[int, ...]
    resolvers: tuple[IPv4Address | IPv6Address, ...]
    denied: tuple[IPv4Network | IPv6Network, ...]
    connections_limit: int
    is_smtp_blocked: bool
    raised4: frozenset[str]  # interfaces on which this agent switched forwarding on
    raised6: frozenset[str]


def digest(layout: Layout, policy: Policy) -> str:
    return f"{MARK} {hashlib.sha256(_body(layout, policy).encode()).hexdigest()[:16]}"


def replace(layout: Layout, policy: Policy) -> str:
    """nft commands that put these rules in the place of whatever this agent had before: one transaction."""
    table = f"table inet {layout.instance}"
    comment = f'comment "{digest(layout, policy)}"'
    return f"{remove(layout.instance)}{table} {{\n{comment}\n{_body(layout, policy)}}}\n"


def remove(instance: str) -> str:
    return f"table inet {instance}\ndelete table inet {instance}\n"


def _body(layout: Layout, policy: Policy) -> str:
    own = f'"{layout.prefix}*"'
    return "".join(
        (
            _sets(layout, policy),
            _guard(own),
            _local(own),
            _forward(own),
            _leave(own, policy),
            _verdicts(policy),
            _masquerade(own, layout),
        )
    )


def _sets(layout: Layout, policy: Policy) -> str:
    denied = [*policy.denied, layout.network4]
    if layout.network6:
        denied.append(layout.network6)
    slots = [layout.slot(index) for index in policy.indices]
    return "".join(
        (
            _set(
                "denied4", "ipv4_addr", (n for n in denied if n.version == 4), "flags interval; auto-merge;"
            ),
            _set(
                "denied6", "ipv6_addr", (n for n in denied if n.version == 6), "flags interval; auto-merge;"
            ),
            _set("resolvers4", "ipv4_addr", (a for a in policy.resolvers if a.version == 4)),
            _set("resolvers6", "ipv6_addr", (a for a in policy.resolvers if a.version == 6)),
            _set("sources4", "ifname . ipv4_addr", (f'"{s.interface}" . {s.address4}' for s in slots)),
            _set(
                "sources6",
                "ifname . ipv6_addr",
                (f'"{s.interface}" . {s.address6}' for s in slots if s.address6),
            ),
            _set("raised4", "ifname", (f'"{name}"' for name in sorted(policy.raised4))),
            _set("raised6", "ifname", (f'"{name}"' for name in sorted(policy.raised6))),
            "set connections {\ntype ifname; size 65535; flags dynamic;\n}\n",
        )
    )


def _set(name: str, kind: str, elements: Iterable[object], flags: str = "") -> str:
    listed = ", ".join(map(str, elements))
    content = f"elements = {{ {listed} }};\n" if listed else ""
    return f"set {name} {{\ntype {kind}; {flags}\n{content}}}\n"


def _chain(name: str, rules: Sequence[str]) -> str:
    return f"chain {name} {{\n" + "\n".join(rules) + "\n}\n"


def _guard(own: str) -> str:
    """Before connection tracking: only packets with the slot's own source, no routing tricks. The veth has no
    neighbour discovery (see wiring), so nothing of it needs to pass."""
    tricks = "nd-redirect, nd-router-advert, nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert"
    return _chain(
        "guard",
        [
            "type filter hook prerouting priority raw; policy accept;",
            f"iifname != {own} accept",
            "meta nfproto ipv4 iifname . ip saddr != @sources4 drop",
            "meta nfproto ipv6 iifname . ip6 saddr != @sources6 drop",
            *(f"meta nfproto ipv6 exthdr {header} exists drop" for header in ("hbh", "rt", "dst", "mh")),
            f"icmpv6 type {{ {tricks} }} drop",
            "icmp type redirect drop",
        ],
    )


def _local(own: str) -> str:
    """To this machine: answers to what it asked (the data port), and DNS where it is the resolver."""
    return _chain(
        "local",
        [
            "type filter hook input priority filter - 5; policy accept;",
            f"iifname != {own} accept",
            "ct state established,related accept",
            "jump resolve",
            "goto refuse",
        ],
    )


def _forward(own: str) -> str:
    """The last rules: where we had to switch forwarding on, this machine stays no router for its neighbours.
    Connections that somebody publishes (dnat) pass."""
    return _chain(
        "forward",
        [
            "type filter hook forward priority filter - 5; policy accept;",
            f"iifname {own} goto leave",
            f"oifname {own} ct state established,related accept",
            f"oifname {own} drop",
            "meta nfproto ipv4 iifname @raised4 ct state new ct status & dnat == 0 drop",
            "meta nfproto ipv6 iifname @raised6 ct state new ct status & dnat == 0 drop",
        ],
    )


def _leave(own: str, policy: Policy) -> str:
    return _chain(
        "leave",
        [
            "ct state established,related accept",
            "ct state invalid drop",
            f"oifname {own} goto refuse",
            "jump resolve",
            "meta l4proto { tcp, udp } th dport 53 goto refuse",
            "ip daddr @resolvers4 goto refuse",
            "ip6 daddr @resolvers6 goto refuse",
            "ip daddr @denied4 goto refuse",
            "ip6 daddr @denied6 goto refuse",
            *([f"tcp dport {{ {SMTP_PORTS} }} goto refuse"] if policy.is_smtp_blocked else []),
            "meta l4proto { tcp, udp } goto admit",
            "icmp type echo-request goto admit",
            "icmpv6 type echo-request goto admit",
            "goto refuse",
        ],
    )


def _verdicts(policy: Policy) -> str:
    """A reset is not rate limited as ICMP errors are: the hundredth connection is refused at once too."""
    return (
        _chain("refuse", ["meta l4proto tcp reject with tcp reset", "reject with icmpx admin-prohibited"])
        + _chain(
            "admit",
            [
                f"add @connections {{ iifname ct count over {policy.connections_limit} }} goto refuse",
                "accept",
            ],
        )
        + _chain(
            "resolve",
            [
                "meta l4proto { tcp, udp } th dport 53 ip daddr @resolvers4 goto admit",
                "meta l4proto { tcp, udp } th dport 53 ip6 daddr @resolvers6 goto admit",
            ],
        )
    )


def _masquerade(own: str, layout: Layout) -> str:
    rules = ["type nat hook postrouting priority srcnat; policy accept;"]
    rules.append(f"ip saddr {layout.network4} oifname != {own} masquerade")
    if layout.network6:
        rules.append(f"ip6 saddr {layout.network6} oifname != {own} masquerade")
    return _chain("translate", rules)
