"""What is known of one request while it passes."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

from gateway.body import Body
from gateway.names import Site


@dataclass(slots=True)
class Trip:
    request_id: str = field(default_factory=lambda: secrets.token_hex(8))
    begun_at: float = field(default_factory=time.monotonic)
    site: Site | None = None  # None: it is none of ours
    body: Body | None = None
    sent_bytes: int = 0  # of the answer's body, or through the tunnel both ways
    code: str = ""  # of the error, where it was our answer or the answer was cut
