"""Keys that are stored nowhere: each is derived from the installation's secret and the name of what it is for
(docs/decisions/1150)."""

from __future__ import annotations

from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.conf import settings

from ssh.errors import NoSshSecret
from ssh.models import Door, Grant

SEED_BYTES = 32  # of an Ed25519 key


def host_key(door: Door) -> Ed25519PrivateKey:
    """What the sandbox behind a door proves itself with, whichever it is."""
    return _derived(settings.SSH_SECRET, f"host {door.pk}")


def user_key(grant: Grant) -> Ed25519PrivateKey:
    return _derived(settings.SSH_SECRET, f"user {grant.door_id} {grant.user_id} {grant.generation}")


def private_text(key: Ed25519PrivateKey) -> str:
    """In OpenSSH's own form."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def public_text(key: Ed25519PrivateKey) -> str:
    """`ssh-ed25519 AAAA...`"""
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@lru_cache(maxsize=10_000)  # some hundred bytes each
def _derived(secret: str, purpose: str) -> Ed25519PrivateKey:
    if not secret:
        raise NoSshSecret
    info = f"mags ssh: {purpose}".encode()
    seed = HKDF(algorithm=SHA256(), length=SEED_BYTES, salt=None, info=info).derive(secret.encode())
    return Ed25519PrivateKey.from_private_bytes(seed)
