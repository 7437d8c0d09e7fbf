"""There is one source of both clients."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def test_sync_client_is_what_the_async_one_makes_of_it() -> None:
    path = Path(__file__).parent.parent / "scripts" / "generate_sync.py"
    spec = importlib.util.spec_from_file_location("generate_sync", path)
    assert spec is not None
    assert spec.loader is not None
    generate_sync = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate_sync)

    assert generate_sync.stale_files() == [], "run scripts/generate_sync.py"
