"""Every check that needs no running code. `--fast` is the half that pre-commit runs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv/bin"
PYTHON = str(BIN / "python")
FAST = [
    [str(BIN / "ruff"), "check", "."],
    [str(BIN / "ruff"), "format", "--check", "."],
    [str(BIN / "djlint"), "--check", "--lint", "--quiet", "templates"],
    [PYTHON, "scripts/check_tree.py"],
]
SLOW = [
    [str(BIN / "lint-imports")],
    [str(BIN / "mypy")],
    [str(BIN / "mypy"), "--config-file=clients/python/pyproject.toml", "clients/python/src"],
    [PYTHON, "manage.py", "makemigrations", "--check", "--dry-run"],
    [PYTHON, "manage.py", "check", "--deploy", "--fail-level=WARNING"],
    [PYTHON, "scripts/openapi.py"],
]


def main() -> None:
    checks = FAST if "--fast" in sys.argv[1:] else [*FAST, *SLOW]
    with tempfile.TemporaryDirectory(prefix="mags-lint-") as directory:
        (Path(directory) / "db").mkdir()
        failed = [name for name in (run(check, Path(directory)) for check in checks) if name]
    if failed:
        sys.exit(f"lint failed: {', '.join(failed)}")


def run(command: list[str], var: Path) -> str:
    """Run one check; returns its name when it fails. Says nothing else when it is content."""
    name = " ".join(Path(word).name if word.startswith(str(ROOT)) else word for word in command)
    began = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=production_like(var),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    verdict = "failed" if done.returncode else "ok"
    sys.stdout.write(f"{verdict:6} {time.monotonic() - began:5.1f} s  {name}\n")
    if done.returncode:
        sys.stdout.write(done.stdout)
    sys.stdout.flush()
    return name if done.returncode else ""


def production_like(var: Path) -> dict[str, str]:
    """As behind a proxy with HTTPS, so that `check --deploy` looks at what an operator would run."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MAGS_")}
    return {
        **inherited,
        "DJANGO_SETTINGS_MODULE": "mags_project.settings",
        "MAGS_SECRET_KEY": "only-for-checks-" + "k9Qz" * 16,
        "MAGS_VAR_DIR": str(var),
        "MAGS_PUBLIC_URL": "https://mags.example",
        "MAGS_ALLOWED_HOSTS": "mags.example",
        "MAGS_BEHIND_PROXY": "true",
    }


if __name__ == "__main__":
    main()
