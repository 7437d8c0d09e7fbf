"""Making and unmaking slots. Everything here blocks and runs in the pool's one worker thread.

A slot's namespace has no name: the agent holds it by descriptor, a running sandbox by its processes. So an
agent that is killed leaves nothing behind but what its living sandboxes use, and when those end, the kernel
removes their namespaces and both ends of their veths by itself. Handles in /run/netns would outlive them all.

The veth is a bare point-to-point link: no ARP, no neighbour discovery, no multicast reports, no link-local
addresses. Both ends have the same MAC, as a link without ARP sends to its own. So a sandbox that never used
its network has sent not one packet, and nothing needs to be searched for and flushed after it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

from hostagent.errors import ConfigError, DriverError
from hostagent.linux import conntrack, iproute, netns, sysctl
from hostagent.network import forwarding
from hostagent.network.layout import INNER_INTERFACE, PREFIX4, PREFIX6, Layout, NetworkSlot

MAC = "02:6d:61:67:73:00"  # locally administered
MTU_DEFAULT = 1500
DOOMED = 0x6D616773  # a link group: the kernel removes all of a group in the 20 ms that one takes

# Written into a fresh namespace before it has any interface but lo. Its owner is the initial user namespace:
# root inside a sandbox can neither change these nor add addresses or routes.
INNER_SYSCTLS = {
    "net/ipv4/ping_group_range": "0 2147483647",  # ping without capabilities
    "net/ipv4/ip_unprivileged_port_start": "0",  # servers on port 80 under any user
    "net/ipv4/conf/all/accept_redirects": "0",
    "net/ipv4/conf/default/accept_redirects": "0",
    "net/ipv6/conf/default/accept_ra": "0",
    "net/ipv6/conf/default/accept_redirects": "0",
    "net/ipv6/conf/default/addr_gen_mode": "1",  # no link-local addresses
}


class Wiring:
    """The slots this process holds. Made in, and used from, a thread in the host's network namespace."""

    def __init__(self, layout: Layout, mtu: int = MTU_DEFAULT) -> None:
        self._layout = layout
        self._mtu = mtu
        self._host = netns.current()
        self._held: dict[int, int] = {}  # index -> descriptor of its namespace

    def make(self, indices: Iterable[int], old: Iterable[NetworkSlot] = ()) -> list[NetworkSlot]:
        """Slots for indices that have none, once what is left of `old` is deleted. The namespaces first, then
        one `ip` for all host ends."""
        slots = [self._namespace(index) for index in indices]
        outer = [line for slot in slots for line in self._outer_commands(slot)]
        iproute.batch([*_delete_commands(old), *outer])
        for slot in slots:
            for key, value in forwarding.own_interface(slot.interface).items():
                sysctl.write(key, value)
        for slot in slots:
            self._inside(self._held[slot.index], self._inner_commands(slot))
        return slots

    def remake(self, old: list[NetworkSlot]) -> list[NetworkSlot]:
        """Fresh slots in the place of used ones, of which nothing stays."""
        used = _used(old)
        held = [self._held.pop(slot.index, None) for slot in old]
        try:
            return self.make([slot.index for slot in old], old)
        except DriverError:  # one of them was gone: the kernel took it with the last process of its tenant
            self.unmake(old)
            return self.make(slot.index for slot in old)
        finally:
            _close(held)
            _forget(used)

    def unmake(self, slots: Iterable[NetworkSlot]) -> None:
        """Take the network from whatever is left of a tenant, and forget its connections."""
        slots = list(slots)
        used = _used(slots)
        iproute.batch(_delete_commands(slots), is_forced=True)
        _close(self._held.pop(slot.index, None) for slot in slots)
        _forget(used)

    def existing(self) -> set[int]:
        """Indices of which the host's end of the veth is there, whoever made it."""
        found = (self._layout.index(name) for name in iproute.link_names())
        return {index for index in found if index is not None and index < self._layout.capacity}

    def close(self) -> None:
        """Let go of the namespaces. Those of running sandboxes live on in their processes."""
        _close([*self._held.values(), self._host])
        self._held.clear()

    def _namespace(self, index: int) -> NetworkSlot:
        try:
            netns.unshare_net()
            for key, value in INNER_SYSCTLS.items():
                if self._layout.network6 or "ipv6" not in key:
                    sysctl.write(key, value)
            self._held[index] = descriptor = netns.current()
        finally:
            netns.enter(self._host)
        return self._layout.slot(index, f"/proc/{os.getpid()}/fd/{descriptor}")

    def _inside(self, descriptor: int, commands: list[str]) -> None:
        try:
            netns.enter(descriptor)
            iproute.batch(commands)
        finally:
            netns.enter(self._host)

    def _outer_commands(self, slot: NetworkSlot) -> list[str]:
        end = f"mtu {self._mtu} address {MAC}"
        peer = f"peer name {INNER_INTERFACE} {end} netns {slot.netns_path}"
        commands = [f"link add {slot.interface} {end} type veth {peer}", f"link set {slot.interface} arp off"]
        if slot.address6:
            commands.append(f"link set {slot.interface} addrgenmode none")
            commands.append(f"address add {slot.gateway6}/{PREFIX6} dev {slot.interface} nodad")
        commands.append(f"address add {slot.gateway4}/{PREFIX4} dev {slot.interface}")
        commands.append(f"link set {slot.interface} up")
        return commands

    def _inner_commands(self, slot: NetworkSlot) -> list[str]:
        commands = [
            "link set lo up",
            f"link set {INNER_INTERFACE} arp off",
            f"address add {slot.address4}/{PREFIX4} dev {INNER_INTERFACE}",
            f"link set {INNER_INTERFACE} up",
            f"route add default via {slot.gateway4}",
        ]
        if slot.address6:
            commands.append(f"address add {slot.address6}/{PREFIX6} dev {INNER_INTERFACE} nodad")
            commands.append(f"route add ::/0 via {slot.gateway6}")
        return commands


def _delete_commands(slots: Iterable[NetworkSlot]) -> list[str]:
    doomed = [f"link set {slot.interface} group {DOOMED}" for slot in slots]
    return [*doomed, f"link delete group {DOOMED}"] if doomed else []


def _close(descriptors: Iterable[int | None]) -> None:
    for descriptor in descriptors:
        if descriptor is not None:
            os.close(descriptor)


def _used(slots: Iterable[NetworkSlot]) -> list[NetworkSlot]:
    """Those whose veth carried a packet, or of which that is unknown."""
    carried = {}
    for line in Path("/proc/thread-self/net/dev").read_text().splitlines()[2:]:
        name, _, counters = line.partition(":")
        fields = counters.split()
        carried[name.strip()] = int(fields[1]) + int(fields[9])  # packets received and sent
    return [slot for slot in slots if carried.get(slot.interface, 1)]


def _forget(slots: Iterable[NetworkSlot]) -> None:
    addresses = {ip_address(text).packed for slot in slots for text in (slot.address4, slot.address6) if text}
    if addresses:
        conntrack.delete(addresses.__contains__)


def forget_all(layout: Layout) -> None:
    """Connections of every slot, of whoever ran here before."""
    networks = [network for network in (layout.network4, layout.network6) if network]

    def is_ours(packed: bytes) -> bool:
        return len(packed) in (4, 16) and any(ip_address(packed) in network for network in networks)

    conntrack.delete(is_ours)


def check_overlap(layout: Layout) -> None:
    """Loud where another interface of this machine has addresses in our networks: routes would collide."""
    for link in iproute.addresses():
        if layout.index(link["ifname"]) is not None:
            continue
        for info in link["addr_info"]:
            network = ip_network(f"{info['local']}/{info['prefixlen']}", strict=False)
            for ours in (layout.network4, layout.network6):
                if ours and ours.version == network.version and ours.overlaps(network):
                    message = f"{ours} is used by {link['ifname']} of this machine ({network})"
                    raise ConfigError(message, f"set MAGS_AGENT_NETWORK{ours.version} to a free network")


def uplinks(family: int, resolvers: Iterable[IPv4Address | IPv6Address]) -> list[str]:
    """The interfaces behind which the world and the resolvers are."""
    routes = iproute.default_routes(family)
    for address in resolvers:
        if address.version == family:
            routes += iproute.route_to(str(address))
    return sorted({route["dev"] for route in routes if "dev" in route and route["dev"] != "lo"})


def mtu(names: Iterable[str]) -> int:
    """No larger than any uplink's: large packets must not depend on path discovery, which firewalls break."""
    return min([iproute.link_mtu(name) for name in names], default=MTU_DEFAULT)
