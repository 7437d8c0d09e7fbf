"""requirements*.txt from requirements*.in: every package pinned, nothing said about where it comes from."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIP_COMPILE = [
    str(ROOT / ".venv/bin/pip-compile"), "--quiet", "--strip-extras", "--allow-unsafe",
    "--annotation-style=line", "--no-emit-index-url", "--no-emit-find-links",
    "--no-emit-options", "--no-emit-trusted-host",
]  # fmt: skip


def main() -> None:
    environ = {**os.environ, "CUSTOM_COMPILE_COMMAND": "make requirements"}
    for source in ("requirements.in", "requirements-dev.in"):
        target = Path(source).with_suffix(".txt")
        subprocess.run([*PIP_COMPILE, f"--output-file={target}", source], cwd=ROOT, env=environ, check=True)


if __name__ == "__main__":
    main()
