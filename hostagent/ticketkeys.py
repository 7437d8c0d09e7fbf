"""The public keys that tickets are checked with: the control plane gives them, the agent puts them
where the data port reads them (docs/reference/data-port.md)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

FILE = "ticket-keys.json"  # {"<kid>": "<raw public key, base64>"}: two of them while one replaces the other


def learn(state_dir: Path, keys: Mapping[str, str]) -> bool:
    """Replace the keys, in one step, where they are other ones. True: they were."""
    path = state_dir / FILE
    content = msgspec.json.encode(dict(sorted(keys.items())))
    if path.exists() and path.read_bytes() == content:
        return False
    fresh = path.with_name(f"{FILE}.new")
    fresh.write_bytes(content)
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(path)
    return True
