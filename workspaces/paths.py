"""Lists of paths in little room. A path is any bytes but NUL; as text, what is not UTF-8 is surrogates."""

from __future__ import annotations

import zlib
from collections.abc import Sequence


def pack(paths: Sequence[bytes]) -> bytes:
    return zlib.compress(b"\0".join(paths)) if paths else b""


def unpack(packed: bytes) -> list[str]:
    """As text that survives JSON and comes back as the same bytes (PEP 383)."""
    if not packed:
        return []
    return [path.decode("utf-8", "surrogateescape") for path in zlib.decompress(packed).split(b"\0")]
