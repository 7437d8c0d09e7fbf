"""Tickets: what the control plane signs and this host checks by itself, also while the control plane is away.

A ticket is a JWT signed with Ed25519 (RFC 8037) for one host (`aud`), one sandbox (`sub`) in one `epoch`, one
`port` (or "ssh", or "exec"), until `exp`. The public keys are in the state directory, put there by the agent.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hostagent import ticketkeys
from hostagent.dataport.errors import Refused, bad_ticket
from hostagent.fields import Epoch, SandboxId

ISSUER = "mags"
SSH: Literal["ssh"] = "ssh"
EXEC: Literal["exec"] = "exec"
SSH_PORT = 22
LIMIT_BYTES = 2048  # ours have 350


class Ticket(msgspec.Struct, frozen=True):
    """The claims that say what the holder may reach."""

    sub: SandboxId
    epoch: Epoch
    port: int | Literal["ssh", "exec"]

    @property
    def sandbox_id(self) -> str:
        return self.sub

    @property
    def kind(self) -> str:
        """Of the connection that it opens."""
        return "tcp" if isinstance(self.port, int) else self.port


@dataclass(frozen=True, slots=True)
class _Read:
    """The keys as they were in one state of the file."""

    stamp: tuple[int, int]
    keys: dict[str, Ed25519PublicKey]


class TicketKeys:
    """The public keys, read anew when their file has changed."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / ticketkeys.FILE
        self._read = _Read((0, 0), {})

    def find(self, kid: object) -> Ed25519PublicKey:
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._read.stamp:
                self._read = _Read(stamp, _parse(self._path.read_bytes()))
        except (OSError, ValueError, msgspec.DecodeError) as error:
            raise Refused(503, "no_keys", "this host has no keys to check tickets with") from error
        if not isinstance(kid, str) or kid not in self._read.keys:
            raise bad_ticket("the ticket is signed with a key that this host does not know")
        return self._read.keys[kid]


def _parse(data: bytes) -> dict[str, Ed25519PublicKey]:
    texts = msgspec.json.decode(data, type=dict[str, str])
    try:
        return {
            kid: Ed25519PublicKey.from_public_bytes(base64.b64decode(t, validate=True))
            for kid, t in texts.items()
        }
    except binascii.Error as error:
        raise ValueError("a key is not base64") from error


def check(token: str, keys: TicketKeys, host_id: str) -> Ticket:
    """What the ticket allows. Raises Refused unless it is genuine, for this host, and still good."""
    if len(token) > LIMIT_BYTES:
        raise bad_ticket("the ticket is too long")
    try:
        key = keys.find(jwt.get_unverified_header(token).get("kid"))
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=["EdDSA"],
            audience=host_id,
            issuer=ISSUER,
            options={"require": ["exp", "aud", "iss", "sub"]},
        )
        ticket = msgspec.convert(claims, Ticket)
    except jwt.ExpiredSignatureError as error:
        raise Refused(407, "ticket_expired", "the ticket has expired") from error
    except jwt.InvalidAudienceError as error:
        raise bad_ticket("the ticket is for another host") from error
    except (jwt.InvalidTokenError, msgspec.ValidationError) as error:
        raise bad_ticket(f"the ticket is not one of ours: {error}") from error
    return ticket


def check_target(ticket: Ticket, sandbox_id: str, port: int | Literal["exec"]) -> None:
    """A ticket opens what it names and nothing else. Port 22 is SSH's, which no ticket for a port opens."""
    wanted = SSH_PORT if ticket.port == SSH else ticket.port
    if (ticket.sandbox_id, wanted) != (sandbox_id, port):
        raise Refused(403, "not_allowed", "the ticket does not allow this sandbox and port")
    if port == SSH_PORT and ticket.port != SSH:
        raise Refused(403, "not_allowed", "port 22 takes a ticket for SSH")
