"""Two connections made one: what the gateway and the data port do with every byte.

No HTTP in it and no policy, so both can stand on it without knowing each other.
"""

from __future__ import annotations

from relay.pair import End, Pair, attach
from relay.sockets import reset, watch

__all__ = ["End", "Pair", "attach", "reset", "watch"]
