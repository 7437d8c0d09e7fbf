"""What a sandbox may reach, from inside prepared slots.

Each "refused" has its control: the same probe gets through where the rule in question is missing."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from hostagent.linux import iproute, sysctl
from hostagent.network import NetworkSlot, rules
from hostagent.network.firewall import Firewall
from tests.privileged.internet import (
    FORBIDDEN,
    MACHINE4,
    MACHINE6,
    OTHER_DNS4,
    OTHER_DNS6,
    PUBLIC4,
    PUBLIC6,
    RESOLVER4,
    RESOLVER6,
    Machine,
)
from tests.privileged.pools import INSTANCE, opened

BOTH = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine() as machine:
        yield machine


@pytest.fixture
def unguarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody puts the rules back."""
    monkeypatch.setattr(Firewall, "is_damaged", lambda _: False)


def without_rules() -> None:
    iproute.nft(rules.remove(INSTANCE))


@BOTH
async def test_sandbox_reaches_the_internet_under_the_machines_address(machine: Machine, family: int) -> None:
    async with opened() as pool:
        slot = await pool.take()
        with machine.connect(slot, PUBLIC4 if family == 4 else PUBLIC6, 80) as client:
            assert client.recv(100).decode().strip() == (MACHINE4 if family == 4 else MACHINE6)


@BOTH
async def test_sandbox_pings_without_capabilities(machine: Machine, family: int) -> None:
    protocol = socket.IPPROTO_ICMP if family == 4 else socket.IPPROTO_ICMPV6
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    async with opened() as pool:
        slot = await pool.take()
        with machine.inside(slot.netns_path), socket.socket(kind, socket.SOCK_DGRAM, protocol) as ping:
            ping.settimeout(5)
            ping.connect((PUBLIC4 if family == 4 else PUBLIC6, 0))
            ping.send(bytes([8 if family == 4 else 128, 0, 0, 0, 0, 0, 0, 1]) + b"hello")
            assert ping.recv(100).endswith(b"hello")


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_forbidden_network_is_refused_at_once(machine: Machine, address: str) -> None:
    async with opened() as pool:
        slot = await pool.take()
        began = time.monotonic()
        assert machine.tcp(slot, address, 80) == "refused"
        assert machine.udp(slot, address, 80, b"forbidden") not in ("sent", "answered")
        assert time.monotonic() - began < 5  # what is dropped, not refused, is tried for longer
    async with opened(deny="") as pool:
        slot = await pool.take()
        assert machine.tcp(slot, address, 80) == "open"
        machine.udp(slot, address, 80, b"allowed")
        assert machine.servers.wait_for(b"allowed").port == 80
    assert not any(heard.payload == b"forbidden" for heard in machine.servers.heard.queue)


@pytest.mark.parametrize("which", ["uplink4", "uplink6", "gateway4", "gateway6"])
@pytest.mark.usefixtures("unguarded")
async def test_machine_itself_is_refused(machine: Machine, which: str) -> None:
    async with opened() as pool:
        slot = await pool.take()
        addresses = {"uplink4": MACHINE4, "uplink6": MACHINE6}
        addresses |= {"gateway4": slot.gateway4, "gateway6": slot.gateway6}
        assert machine.tcp(slot, addresses[which], 8000) == "refused"
        assert machine.tcp(slot, addresses[which], 53) == "refused"
        without_rules()
        assert machine.tcp(slot, addresses[which], 8000) == "open"


@BOTH
@pytest.mark.usefixtures("unguarded")
async def test_other_sandbox_is_refused(machine: Machine, family: int) -> None:
    async with opened() as pool:
        slot, other = await pool.take(), await pool.take()
        machine.add_server(other.netns_path, 7000)
        address = other.address4 if family == 4 else other.address6
        assert machine.tcp(slot, address, 7000) == "refused"
        without_rules()
        assert machine.tcp(slot, address, 7000) == "open"


@BOTH
@pytest.mark.usefixtures("unguarded")
async def test_neighbour_of_the_machine_cannot_connect_in(machine: Machine, family: int) -> None:
    async with opened() as pool:
        slot = await pool.take()
        servers = machine.add_server(slot.netns_path, 7000)
        address = slot.address4 if family == 4 else slot.address6
        outside = NetworkSlot(0, "", f"/proc/self/fd/{machine.internet}", "", "", "", "")
        machine.udp(outside, address, 7000, b"first")
        without_rules()
        machine.udp(outside, address, 7000, b"second")
        assert servers.wait_for(b"second")
        assert not any(heard.payload == b"first" for heard in servers.heard.queue)


@BOTH
async def test_machine_connects_to_a_sandbox(machine: Machine, family: int) -> None:
    async with opened() as pool:
        slot = await pool.take()
        machine.add_server(slot.netns_path, 7000)
        address = (slot.address4 if family == 4 else slot.address6, 7000)
        with socket.create_connection(address, timeout=5) as client:
            assert client.recv(100).decode().strip() == (slot.gateway4 if family == 4 else slot.gateway6)


@BOTH
async def test_dns_goes_to_the_resolvers_and_nowhere_else(machine: Machine, family: int) -> None:
    resolver, other = (RESOLVER4, OTHER_DNS4) if family == 4 else (RESOLVER6, OTHER_DNS6)
    async with opened() as pool:
        slot = await pool.take()
        assert machine.tcp(slot, resolver, 53) == "open"
        machine.udp(slot, resolver, 53, b"question")
        assert machine.servers.wait_for(b"question").port == 53
        assert machine.tcp(slot, resolver, 80) == "refused"
        assert machine.tcp(slot, other, 53) == "refused"
        assert machine.udp(slot, other, 53, b"stray") not in ("sent", "answered")
        assert machine.tcp(slot, other, 80) == "open"
    async with opened(resolvers=other) as pool:
        slot = await pool.take()
        assert machine.tcp(slot, other, 53) == "open"
        assert machine.tcp(slot, resolver, 53) == "refused"


async def test_machine_may_be_the_resolver_and_only_that(machine: Machine) -> None:
    async with opened(resolvers=f"{MACHINE4} {MACHINE6}") as pool:
        slot = await pool.take()
        for address in (MACHINE4, MACHINE6):
            assert machine.tcp(slot, address, 53) == "open"
            assert machine.tcp(slot, address, 8000) == "refused"


@BOTH
@pytest.mark.parametrize("port", [25, 465, 587])
async def test_smtp_is_refused_unless_allowed(machine: Machine, port: int, family: int) -> None:
    address = PUBLIC4 if family == 4 else PUBLIC6
    async with opened() as pool:
        assert machine.tcp(await pool.take(), address, port) == "refused"
    async with opened(is_smtp_blocked=False) as pool:
        assert machine.tcp(await pool.take(), address, port) == "open"


async def test_connections_of_one_sandbox_are_capped(machine: Machine) -> None:
    async with opened(connections_limit=4) as pool:
        slot, other = await pool.take(), await pool.take()
        held = [machine.connect(slot, address, 80) for address in (PUBLIC4, PUBLIC6, PUBLIC4, PUBLIC6)]
        assert machine.tcp(slot, PUBLIC4, 80) == "refused"
        assert machine.tcp(slot, PUBLIC6, 80) == "refused"
        assert machine.tcp(other, PUBLIC4, 80) == "open"
        for client in held:
            client.close()
    async with opened(connections_limit=100) as pool:
        slot = await pool.take()
        assert [machine.tcp(slot, PUBLIC4, 80) for _ in range(12)] == ["open"] * 12


@BOTH
@pytest.mark.usefixtures("unguarded")
async def test_spoofed_source_is_dropped(machine: Machine, family: int) -> None:
    target = PUBLIC4 if family == 4 else PUBLIC6
    async with opened() as pool:
        slot, other = await pool.take(), await pool.take()
        own, spoofed = (slot.address4, other.address4) if family == 4 else (slot.address6, other.address6)
        with machine.inside(slot.netns_path):  # what a sandbox itself cannot do
            iproute.batch([f"address add {spoofed} dev eth0{'' if family == 4 else ' nodad'}"])
        machine.udp(slot, target, 80, b"spoofed", source=spoofed)
        machine.udp(slot, target, 80, b"own", source=own)
        assert machine.servers.wait_for(b"own")
        iproute.nft(f"flush chain inet {INSTANCE} guard")
        sysctl.write(f"net/ipv4/conf/{slot.interface}/rp_filter", "0")
        machine.udp(slot, target, 80, b"control", source=spoofed)
        assert machine.servers.wait_for(b"control")
        assert not any(heard.payload == b"spoofed" for heard in machine.servers.heard.queue)


@pytest.mark.usefixtures("unguarded")
async def test_ipv6_extension_headers_are_dropped(machine: Machine) -> None:
    async with opened() as pool:
        slot = await pool.take()

        def send(payload: bytes) -> None:
            with machine.inside(slot.netns_path), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
                client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
                client.sendto(payload, (PUBLIC6, 80))

        send(b"with options")
        machine.udp(slot, PUBLIC6, 80, b"without")
        assert machine.servers.wait_for(b"without")
        iproute.nft(f"flush chain inet {INSTANCE} guard")
        send(b"control")
        assert machine.servers.wait_for(b"control")
        assert not any(heard.payload == b"with options" for heard in machine.servers.heard.queue)


@pytest.mark.parametrize("kind", [134, 137], ids=["router-advertisement", "redirect"])
@pytest.mark.usefixtures("unguarded")
async def test_router_messages_of_a_sandbox_are_dropped(machine: Machine, kind: int) -> None:
    async with opened() as pool:
        slot = await pool.take()
        ear = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        with ear:
            ear.settimeout(0.3)
            assert not _is_heard(machine, slot, ear, kind)
            without_rules()
            ear.settimeout(5)
            assert _is_heard(machine, slot, ear, kind)


def _is_heard(machine: Machine, slot: NetworkSlot, ear: socket.socket, kind: int) -> bool:
    with machine.inside(slot.netns_path):
        mouth = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    with mouth:
        mouth.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
        mouth.sendto(bytes([kind]) + bytes(39), (slot.gateway6, 0))
    try:
        while True:
            if ear.recv(1500)[0] == kind:
                return True
    except TimeoutError:
        return False


@BOTH
@pytest.mark.usefixtures("unguarded")
async def test_machine_does_not_become_a_router_for_its_neighbours(machine: Machine, family: int) -> None:
    """A second network of the machine, and a neighbour that sends its packets there through us."""
    with machine.inside(machine.internet):
        iproute.batch(
            [f"route add 198.51.100.128/25 via {MACHINE4}", f"route add 2001:db8:77::/64 via {MACHINE6}"]
        )
    async with opened(sandboxes=2) as pool:
        slot = await pool.take()
        # The sandbox stands in for a machine of that network.
        with machine.inside(slot.netns_path):
            iproute.batch(["address add 198.51.100.200 dev lo", "address add 2001:db8:77::7 dev lo nodad"])
        servers = machine.add_server(slot.netns_path, 7000)
        iproute.batch(
            [
                f"link set {slot.interface} down",
                f"link set {slot.interface} name lan0",
                "link set lan0 up",
                "route add 198.51.100.128/25 dev lan0",
                "route add 2001:db8:77::/64 dev lan0",
            ]
        )
        outside = NetworkSlot(0, "", f"/proc/self/fd/{machine.internet}", "", "", "", "")
        address = "198.51.100.200" if family == 4 else "2001:db8:77::7"
        machine.udp(outside, address, 7000, b"first")
        without_rules()
        machine.udp(outside, address, 7000, b"second")
        assert servers.wait_for(b"second")
        assert not any(heard.payload == b"first" for heard in servers.heard.queue)
        iproute.batch(["link delete lan0"])


async def test_flushed_rules_come_back(machine: Machine) -> None:
    async with opened() as pool:
        slot = await pool.take()
        iproute.nft("flush ruleset")
        deadline = time.monotonic() + 5
        while not iproute.nft_table(INSTANCE):
            assert time.monotonic() < deadline, "nobody put the rules back"
            await asyncio.sleep(0.01)
        assert machine.tcp(slot, MACHINE4, 8000) == "refused"
        assert machine.tcp(slot, PUBLIC4, 80) == "open"
