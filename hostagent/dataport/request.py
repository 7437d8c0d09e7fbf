"""The one request of a connection: `CONNECT <sandbox id>:<port or exec> HTTP/1.1` with its ticket."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import msgspec

from hostagent.dataport.errors import Refused, bad_request, bad_ticket
from hostagent.dataport.tickets import EXEC

HEAD_LIMIT_BYTES = 8192
END = b"\r\n\r\n"
_LINE = re.compile(rb"CONNECT ([a-z0-9]{16}):([1-9][0-9]{0,4}|exec) HTTP/1\.1")
_TICKET = re.compile(rb"(?i:bearer) ([A-Za-z0-9_.-]+)")


@dataclass(frozen=True, slots=True)
class Connect:
    sandbox_id: str
    port: int | Literal["exec"]
    token: str


def parse(head: bytes) -> Connect:
    """`head`: up to and without the empty line."""
    first, *rest = head.split(b"\r\n")
    line = _LINE.fullmatch(first)
    port = None if line is None else _port(line[2])
    if line is None or port is None:
        raise bad_request("this port takes CONNECT <sandbox id>:<port> HTTP/1.1 only")
    values = [value.strip() for name, _, value in (r.partition(b":") for r in rest) if _is_ticket(name)]
    if len(values) != 1:
        raise bad_ticket("one Proxy-Authorization header is needed")
    ticket = _TICKET.fullmatch(values[0])
    if ticket is None:
        raise bad_ticket("Proxy-Authorization is not `Bearer <ticket>`")
    return Connect(line[1].decode(), port, ticket[1].decode())


def _port(text: bytes) -> int | Literal["exec"] | None:
    if text == b"exec":
        return EXEC
    return int(text) if int(text) <= 65535 else None


def _is_ticket(name: bytes) -> bool:
    return name.lower() == b"proxy-authorization"


def encode_refusal(refused: Refused) -> bytes:
    """A whole answer, after which the connection ends."""
    body = msgspec.json.encode({"error": refused.message, "code": refused.code})
    return (
        f"HTTP/1.1 {refused.status} Refused\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
