"""Tickets: with one the gateway reaches one port of one sandbox (docs/reference/data-port.md). Hosts check
them by the public keys that they get here, without asking anybody."""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
from dataclasses import dataclass
from functools import cache
from typing import Literal
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from hosts.errors import NoTicketKey

ISSUER = "mags"
KID_LENGTH = 16  # hexadecimal digits of the public key's SHA-256

Target = int | Literal["ssh", "exec"]


@dataclass(frozen=True, slots=True)
class Ticket:
    """`expires_at` is in Unix seconds."""

    text: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class _Key:
    private: Ed25519PrivateKey
    public: bytes
    kid: str


def ticket_sign(host_id: UUID, sandbox_id: str, epoch: int, target: Target) -> Ticket:
    """Let the holder reach `target` (a port, SSH, commands) of a sandbox in this epoch, on this host only."""
    if not settings.TICKET_KEY:
        raise NoTicketKey
    key = _key(settings.TICKET_KEY)
    expires_at = int(time.time()) + settings.TICKET_S
    claims = {
        "iss": ISSUER, "aud": str(host_id), "sub": sandbox_id, "epoch": epoch, "port": target,
        "exp": expires_at,
    }  # fmt: skip
    text = jwt.encode(claims, key.private, algorithm="EdDSA", headers={"kid": key.kid})
    return Ticket(text, expires_at)


def ticket_keys() -> dict[str, str]:
    """The public keys that hosts are to believe: `{kid: raw key in base64}`."""
    keys = [_key(text) for text in (settings.TICKET_KEY, settings.TICKET_KEY_OTHER) if text]
    return {key.kid: base64.b64encode(key.public).decode() for key in keys}


@cache
def _key(text: str) -> _Key:
    try:
        private = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(text + "="))
    except (ValueError, binascii.Error) as error:
        raise ImproperlyConfigured("MAGS_TICKET_KEY is not 32 bytes in URL-safe base64") from error
    public = private.public_key().public_bytes_raw()
    return _Key(private, public, hashlib.sha256(public).hexdigest()[:KID_LENGTH])
