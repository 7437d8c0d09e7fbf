"""Compare the committed openapi.yaml with the code; `--write` brings it up to date."""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMITTED = ROOT / "openapi.yaml"


def main() -> None:
    text = generate()
    if "--write" in sys.argv[1:]:
        COMMITTED.write_text(text, encoding="utf-8")
        return
    committed = COMMITTED.read_text(encoding="utf-8") if COMMITTED.exists() else ""
    difference = difflib.unified_diff(
        committed.splitlines(), text.splitlines(), "openapi.yaml", "the code", lineterm=""
    )
    lines = list(difference)
    if lines:
        sys.exit("\n".join([*lines[:60], "openapi.yaml is not what the code serves: run `make openapi`"]))


def generate() -> str:
    """The document as the code has it. A warning is an error: it means that the document lies."""
    with tempfile.TemporaryDirectory(prefix="mags-openapi-") as directory:
        environ = {**os.environ, "MAGS_SECRET_KEY": "not-used", "MAGS_VAR_DIR": directory}
        file = Path(directory) / "openapi.yaml"
        command = [
            sys.executable,
            "manage.py",
            "spectacular",
            "--validate",
            "--fail-on-warn",
            f"--file={file}",
        ]
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        return file.read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
