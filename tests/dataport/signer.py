"""The control plane's side of tickets: a key pair, and tickets signed with it."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HOST_ID = "host-1"


class Signer:
    def __init__(self, kid: str = "k1") -> None:
        self.kid = kid
        self.key = Ed25519PrivateKey.generate()

    def publish(self, state_dir: Path, *others: Signer) -> None:
        """What the agent does with the keys it is given."""
        keys = {
            s.kid: base64.b64encode(s.key.public_key().public_bytes_raw()).decode() for s in (self, *others)
        }
        fresh = state_dir / "ticket-keys.new"
        fresh.write_text(json.dumps(keys))
        fresh.replace(state_dir / "ticket-keys.json")

    def claims(self, sandbox_id: str, port: int | str, /, **changes: Any) -> dict[str, Any]:
        values = {
            "iss": "mags",
            "aud": HOST_ID,
            "sub": sandbox_id,
            "epoch": 1,
            "port": port,
            "exp": int(time.time()) + 600,
        }
        return {k: v for k, v in (values | changes).items() if v is not None}

    def ticket(self, sandbox_id: str, port: int | str, /, **changes: Any) -> str:
        claims = self.claims(sandbox_id, port, **changes)
        return jwt.encode(claims, self.key, algorithm="EdDSA", headers={"kid": self.kid})
