"""What happens to nftables, as the kernel tells whoever listens."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

NETLINK_NETFILTER = 12
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1
NFNLGRP_NFTABLES = 7
NFNL_SUBSYS_NFTABLES = 10
# NFT_MSG_DELTABLE, DELCHAIN, DELRULE, DELSET, DELSETELEM
DELETIONS = {NFNL_SUBSYS_NFTABLES << 8 | number for number in (2, 5, 8, 11, 14)}
RECEIVE_BYTES = 1 << 17

_HEADER = struct.Struct("=IHHII")  # nlmsghdr


def listen() -> socket.socket:
    """A non-blocking socket that turns readable on every change in the calling thread's network namespace."""
    listener = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETLINK_NETFILTER
    )
    listener.bind((0, 0))
    listener.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
    return listener


def has_deletions(listener: socket.socket, table: str) -> bool:
    """Read all that waits. Was anything deleted in `table`, or so much changed that it is not known?"""
    name = f"{table}\0".encode()
    is_found = False
    while True:
        try:
            data = listener.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return is_found
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            is_found = True  # events were dropped
        else:
            is_found |= any(kind in DELETIONS and name in body for kind, body in _messages(data))


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, start)
        yield kind, data[start : start + length]
        start += max((length + 3) & ~3, _HEADER.size)
