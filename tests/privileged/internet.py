"""A machine and an internet for it, of two network namespaces: nothing here touches a real network.

The calling thread becomes part of the machine, so pools, `ip` and `nft` in a test work on that. The internet
is one namespace with many addresses, also such as no sandbox may reach; its servers tell who talked to them.
"""

from __future__ import annotations

import contextlib
import os
import queue
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hostagent.linux import iproute, netns, sysctl
from hostagent.network import NetworkSlot, forwarding

MACHINE4, MACHINE6 = "203.0.113.2", "2001:db8:1::2"
PUBLIC4, PUBLIC6 = "198.51.100.7", "2001:db8:99::7"
RESOLVER4, RESOLVER6 = "10.255.255.53", "fd53::53"
OTHER_DNS4, OTHER_DNS6 = "198.51.100.53", "2001:db8:99::53"
SANDBOXES4, SANDBOXES6 = "10.213.0.0/24", "fd6d:6167:7300::/64"
FORBIDDEN = (
    *("169.254.169.254", "10.9.9.9", "172.16.5.5", "192.168.7.7", "100.64.3.3", "198.18.0.9"),
    *("fd99::7", "fd00:ec2::254", "64:ff9b::a09:909", "2002:a09:909::7"),
)
PORTS = (25, 53, 80, 465, 587, 8000)
DEADLINE_S = 5.0


@dataclass(frozen=True)
class Heard:
    """A datagram or a connection that reached a server."""

    port: int
    peer: str
    payload: bytes


class Servers:
    """TCP and UDP on some ports, both address families, of the namespace it is made in."""

    def __init__(self, ports: tuple[int, ...] = PORTS) -> None:
        self.heard: queue.Queue[Heard] = queue.Queue()
        self._selector = selectors.DefaultSelector()
        self._wake, waker = socket.socketpair()
        self._waker = waker
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._accepted: list[socket.socket] = []
        for port in ports:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                self._selector.register(_bound(kind, port), selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def wait_for(self, payload: bytes) -> Heard:
        """The datagram with this payload; queue.Empty where none comes."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            heard = self.heard.get(timeout=max(0.0, deadline - time.monotonic()))
            if heard.payload == payload:
                return heard

    def close(self) -> None:
        self._waker.close()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        for accepted in self._accepted:
            accepted.close()
        self._selector.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                server = key.fileobj
                if server is self._wake:
                    return
                assert isinstance(server, socket.socket)
                port = server.getsockname()[1]
                if server.type == socket.SOCK_DGRAM:
                    payload, peer = server.recvfrom(4096)
                    self.heard.put(Heard(port, _plain(peer[0]), payload))
                else:
                    accepted, peer = server.accept()
                    self._accepted.append(accepted)
                    accepted.sendall(f"{_plain(peer[0])}\n".encode())


class Machine:
    """Enter it with `with`; the calling thread leaves it at the end."""

    def __enter__(self) -> Self:
        self._former = netns.current()
        self._stack = contextlib.ExitStack()
        self._stack.callback(os.close, self._former)
        self._stack.callback(netns.enter, self._former)
        netns.unshare_net()
        self.internet = netns.current()
        self._stack.callback(os.close, self.internet)
        netns.unshare_net()
        self.home = netns.current()
        self._stack.callback(os.close, self.home)
        self._set_up()
        return self

    def __exit__(self, *_: object) -> None:
        forwarding_record().unlink(missing_ok=True)  # of a test that failed
        self._stack.close()

    @contextlib.contextmanager
    def inside(self, where: int | str) -> Iterator[None]:
        """The calling thread, for a moment, in another namespace. Sockets made there stay there."""
        descriptor = os.open(where, os.O_RDONLY | os.O_CLOEXEC) if isinstance(where, str) else where
        try:
            netns.enter(descriptor)
            yield
        finally:
            netns.enter(self.home)
            if isinstance(where, str):
                os.close(descriptor)

    def add_server(self, where: int | str, *ports: int) -> Servers:
        with self.inside(where):
            servers = Servers(ports)
        self._stack.callback(servers.close)
        return servers

    def tcp(self, slot: NetworkSlot, address: str, port: int) -> str:
        """What a connect from the slot comes to: open, refused, or the name of another error."""
        try:
            self.connect(slot, address, port).close()
        except ConnectionRefusedError:
            return "refused"
        except OSError as error:
            return type(error).__name__
        return "open"

    def connect(self, slot: NetworkSlot, address: str, port: int) -> socket.socket:
        with self.inside(slot.netns_path):
            client = socket.socket(_family(address), socket.SOCK_STREAM)
        client.settimeout(DEADLINE_S)
        try:
            client.connect((address, port))
        except OSError:
            client.close()
            raise
        return client

    def udp(self, slot: NetworkSlot, address: str, port: int, payload: bytes, source: str = "") -> str:
        """Send a datagram and, where nothing refuses it, say so: sent, or the name of the error."""
        with self.inside(slot.netns_path), socket.socket(_family(address), socket.SOCK_DGRAM) as client:
            client.settimeout(0.3)  # a refusal comes back in well under a millisecond
            if source:
                client.bind((source, 0))
            try:
                client.connect((address, port))
                client.send(payload)
                client.recv(1)
            except TimeoutError:
                return "sent"
            except OSError as error:
                return type(error).__name__
            return "answered"

    def _set_up(self) -> None:
        sysctl.write("net/ipv4/ip_forward", "0")
        for name in ("all", "default"):
            sysctl.write(f"net/ipv4/conf/{name}/rp_filter", "0")
        far = f"/proc/{os.getpid()}/fd/{self.internet}"
        iproute.batch(
            [
                "link set lo up",
                f"link add up0 type veth peer name wan netns {far}",
                f"address add {MACHINE4}/24 dev up0",
                f"address add {MACHINE6}/64 dev up0 nodad",
                "link set up0 up",
            ]
        )
        addresses = (*FORBIDDEN, PUBLIC4, PUBLIC6, RESOLVER4, RESOLVER6, OTHER_DNS4, OTHER_DNS6)
        with self.inside(self.internet):
            iproute.batch(
                [
                    "link set lo up",
                    "address add 203.0.113.1/24 dev wan",
                    "address add 2001:db8:1::1/64 dev wan nodad",
                    "link set wan up",
                    *(f"address add {a} dev lo{' nodad' if ':' in a else ''}" for a in addresses),
                    # A neighbour that knows where the sandboxes are.
                    f"route add {SANDBOXES4} via {MACHINE4}",
                    f"route add {SANDBOXES6} via {MACHINE6}",
                ]
            )
        iproute.batch(["route add default via 203.0.113.1", "route add ::/0 via 2001:db8:1::1"])
        self.servers = self.add_server(self.internet, *PORTS)
        self.own_servers = self.add_server(self.home, *PORTS)


def forwarding_record() -> Path:
    """Where pools note the former values of this namespace's switches."""
    return forwarding.RUN / f"forwarding-{os.stat('/proc/thread-self/ns/net').st_ino}.json"  # noqa: PTH116


def _bound(kind: int, port: int) -> socket.socket:
    server = socket.socket(socket.AF_INET6, kind)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("::", port))
    if kind == socket.SOCK_STREAM:
        server.listen(64)
    return server


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _plain(address: str) -> str:
    return address.removeprefix("::ffff:")
