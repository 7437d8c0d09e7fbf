"""Write src/mags/_sync from src/mags/_async: `python scripts/generate_sync.py [--check]`.

One source for both clients. A test runs this with --check, so an edit of the one without the
other fails.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import unasync

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "mags"
HEADER = "# Made from mags/_async by scripts/generate_sync.py: edit that one.\n"
NAMES = {
    "AsyncMags": "Mags",
    "AsyncConnection": "Connection",
    "AsyncExecSession": "ExecSession",
    "AsyncTransport": "Transport",
    "asyncio": "sync",  # of websockets, which has both
    "AsyncConnectionPool": "ConnectionPool",
    "AsyncHTTPProxy": "HTTPProxy",
    "AsyncIterator": "Iterator",
    "aiter_stream": "iter_stream",
    "aclose": "close",
    "anyio": "time",  # anyio.sleep -> time.sleep
    "_async": "_sync",
}


def generate(target: Path) -> None:
    sources = sorted((PACKAGE / "_async").glob("*.py"))
    rule = unasync.Rule(f"{PACKAGE}/_async/", f"{target}/", additional_replacements=NAMES)
    unasync.unasync_files([str(path) for path in sources], rules=[rule])
    for path in target.glob("*.py"):
        path.write_text(HEADER + path.read_text(encoding="utf-8"), encoding="utf-8")
    config = PACKAGE.parent.parent / "pyproject.toml"
    for command in (["check", "--fix", "--unsafe-fixes", "--select", "I,UP028", "-q"], ["format", "-q"]):
        subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--config", str(config), str(target)], check=True
        )


def stale_files() -> list[str]:
    """Names of the files in _sync that are not what _async makes of them."""
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh = {path.name: path.read_bytes() for path in Path(scratch).glob("*.py")}
    kept = {path.name: path.read_bytes() for path in (PACKAGE / "_sync").glob("*.py")}
    return sorted(name for name in fresh | kept if fresh.get(name) != kept.get(name))


if __name__ == "__main__":
    if "--check" in sys.argv:
        stale = stale_files()
        print(*(f"{name} is stale: run scripts/generate_sync.py" for name in stale), sep="\n", end="")
        sys.exit(bool(stale))
    generate(PACKAGE / "_sync")
