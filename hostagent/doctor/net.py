"""The network: resolvers, firewall, addresses, ports."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address

from hostagent.config import Config
from hostagent.doctor.finding import Finding, missing, note, ok
from hostagent.errors import AgentError
from hostagent.linux import sysctl
from hostagent.network import resolvers, rules, wiring
from hostagent.network.layout import Layout

DNS_TIMEOUT_S = 2.0
# A query with recursion for the name servers of the root: any resolver can answer it.
DNS_QUERY = b"\x4d\x47\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + b"\x00" + b"\x00\x02\x00\x01"
FORWARD_REMEDY = (
    "let the sandboxes pass there as well, e.g. for Docker: "
    "iptables -I DOCKER-USER -i {0}+ -j ACCEPT; iptables -I DOCKER-USER -o {0}+ -j ACCEPT"
)


def check_network(config: Config, ports: Iterable[int]) -> Iterator[Finding]:
    yield from _resolvers(config)
    yield from _layout(config)
    yield _connections(config)
    for port in ports:
        yield _port(port)


def _resolvers(config: Config) -> Iterator[Finding]:
    try:
        servers = resolvers(config)
    except AgentError as error:
        yield missing("DNS", error.message, error.hint)
        return
    for server in servers:
        if _answers(server):
            yield ok("DNS", str(server))
        else:
            yield note("DNS", f"{server} does not answer", "set MAGS_AGENT_RESOLVERS to one that does")


def _answers(server: IPv4Address | IPv6Address) -> bool:
    family = socket.AF_INET if server.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as query:
        query.settimeout(DNS_TIMEOUT_S)
        try:
            query.connect((str(server), 53))
            query.send(DNS_QUERY)
            return bool(query.recv(4096))
        except OSError:
            return False


def _layout(config: Config) -> Iterator[Finding]:
    """What depends on programs that may not be installed yet is looked at where they are."""
    try:
        layout = Layout.of(config, has_ipv6=sysctl.exists("net/ipv6"))
        if shutil.which("ip"):
            wiring.check_overlap(layout)
            yield ok("sandbox networks", f"{layout.network4}, {layout.network6 or 'no IPv6'}")
    except AgentError as error:
        yield missing("sandbox networks", error.message, error.hint)
        return
    if shutil.which("nft") and shutil.which("unshare"):
        yield _nftables(layout)
        yield from _foreign_firewalls(layout)


def _nftables(layout: Layout) -> Finding:
    """The agent's own rules, loaded in an empty network namespace that ends with nft."""
    policy = rules.Policy((0,), (), (), 1, is_smtp_blocked=True, raised4=frozenset(), raised6=frozenset())
    command = ["unshare", "--net", "nft", "-f", "-"]
    text = rules.replace(layout, policy)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ok("nftables")
    reason = done.stderr.strip().split("\n")[0]
    return missing(
        "nftables", f"the kernel refuses the rules: {reason}", "a kernel with nf_tables, NAT and conntrack"
    )


def _foreign_firewalls(layout: Layout) -> Iterator[Finding]:
    """A packet must pass all firewalls: one that drops what is forwarded cuts the sandboxes off."""
    listed = subprocess.run(
        ["nft", "-j", "list", "chains"], capture_output=True, text=True, check=False
    ).stdout
    chains = [
        item["chain"] for item in json.loads(listed or '{"nftables": []}')["nftables"] if "chain" in item
    ]
    for chain in chains:
        if chain.get("hook") == "forward" and chain.get("policy") == "drop":
            found = f"the chain {chain['family']} {chain['table']} {chain['name']} drops what is forwarded"
            yield note("other firewalls", found, FORWARD_REMEDY.format(layout.prefix))


def _connections(config: Config) -> Finding:
    key = "net/netfilter/nf_conntrack_max"
    wanted = config.sandboxes * config.connections_limit
    if not sysctl.exists(key):
        return ok("connection table", "not in use yet")
    limit = int(sysctl.read(key))
    if limit < wanted:
        remedy = f"sysctl net.netfilter.nf_conntrack_max={2 * wanted}, or lower MAGS_AGENT_CONNECTIONS_LIMIT"
        return note("connection table", f"{limit} entries, the sandboxes may need {wanted}", remedy)
    return ok("connection table", f"{limit} entries")


def _port(port: int) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            remedy = f"see `ss -ltnp sport = :{port}`, or choose another port"
            return missing(f"port {port}", error.strerror or str(error), remedy)
    return ok(f"port {port}", "free")
