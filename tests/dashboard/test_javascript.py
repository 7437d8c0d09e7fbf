"""The pure modules of the dashboard have their own tests in js/; here they run with the others."""

from __future__ import annotations

import subprocess
from pathlib import Path

HERE = Path(__file__).parent


def test_javascript_modules() -> None:
    done = subprocess.run(
        ["node", "--test", *map(str, sorted((HERE / "js").glob("*.test.mjs")))],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "# fail 0" in done.stdout
    assert "# pass 0" not in done.stdout
