"""Delete tracked connections by address, over netlink.

One walk through the kernel's table (13 ms where it has 262,144 buckets) whatever the number of addresses;
`conntrack -D` walks once for each address, direction and family.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator

from hostagent.errors import DriverError

NETLINK_NETFILTER = 12
NFNL_SUBSYS_CTNETLINK = 1 << 8
IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_DELETE = 1, 2
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLA_TYPE_MASK = 0x3FFF
CTA_TUPLE_ORIG, CTA_ID, CTA_ZONE = 1, 12, 18
CTA_TUPLE_IP = 1
RECEIVE_BYTES = 1 << 18  # the kernel fills at most 32 KiB a read
TIMEOUT_S = 10

_HEADER = struct.Struct("=IHHII")  # nlmsghdr
_GENERIC = struct.Struct("=BBH")  # nfgenmsg
_ATTRIBUTE = struct.Struct("=HH")


def delete(is_ours: Callable[[bytes], bool]) -> int:
    """Forget every connection with an original source or destination (packed address) that is ours."""
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER
    ) as netlink:
        netlink.settimeout(TIMEOUT_S)
        found = [entry for entry in _dump(netlink) if any(map(is_ours, _addresses(entry)))]
        for entry in found:
            _delete(netlink, entry)
    return len(found)


def _dump(netlink: socket.socket) -> Iterator[bytes]:
    netlink.send(_message(IPCTNL_MSG_CT_GET, NLM_F_DUMP, _GENERIC.pack(socket.AF_UNSPEC, 0, 0)))
    for kind, body in _messages(netlink):
        if kind == NLMSG_DONE:
            return
        if kind == NLMSG_ERROR:
            _raise(body)
        yield body


def _delete(netlink: socket.socket, entry: bytes) -> None:
    """With its id: a connection that reuses the tuple in this instant is another one."""
    kept = [
        raw for kind, raw in _attributes(entry, _GENERIC.size) if kind in (CTA_TUPLE_ORIG, CTA_ID, CTA_ZONE)
    ]
    netlink.send(_message(IPCTNL_MSG_CT_DELETE, NLM_F_ACK, entry[: _GENERIC.size] + b"".join(kept)))
    for kind, body in _messages(netlink):
        if kind == NLMSG_ERROR:
            _raise(body)
            return


def _raise(body: bytes) -> None:
    code = -struct.unpack_from("=i", body)[0]
    if code not in (0, 2):  # ENOENT: it ended by itself meanwhile
        raise DriverError(f"the kernel's connection table: {os.strerror(code)}")


def _addresses(entry: bytes) -> Iterator[bytes]:
    for kind, raw in _attributes(entry, _GENERIC.size):
        if kind == CTA_TUPLE_ORIG:
            for inner, part in _attributes(raw, _ATTRIBUTE.size):
                if inner == CTA_TUPLE_IP:
                    yield from (
                        address[_ATTRIBUTE.size :] for _, address in _attributes(part, _ATTRIBUTE.size)
                    )


def _attributes(data: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    """Type and raw bytes (header and padding included) of each attribute; addresses need no padding."""
    while start + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        end = start + max(_aligned(length), _ATTRIBUTE.size)
        yield kind & NLA_TYPE_MASK, data[start:end]
        start = end


def _messages(netlink: socket.socket) -> Iterator[tuple[int, bytes]]:
    while True:
        data = netlink.recv(RECEIVE_BYTES)
        start = 0
        while start + _HEADER.size <= len(data):
            length, kind, *_ = _HEADER.unpack_from(data, start)
            yield kind, data[start + _HEADER.size : start + length]
            start += max(_aligned(length), _HEADER.size)


def _message(kind: int, flags: int, body: bytes) -> bytes:
    length = _HEADER.size + len(body)
    return _HEADER.pack(length, NFNL_SUBSYS_CTNETLINK | kind, NLM_F_REQUEST | flags, 0, 0) + body


def _aligned(length: int) -> int:
    return (length + 3) & ~3
