"""Settings are loud, and safe to deploy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAGS_")}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env={**clean, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_secret_key_is_loud() -> None:
    assert "MAGS_SECRET_KEY" in manage("check").stderr


def test_secret_may_come_from_a_file_which_wins(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("from-the-file\n")
    code = "from django.conf import settings; print(settings.SECRET_KEY, settings.DEBUG)"
    shown = manage(
        "shell", "-v", "0", "-c", code,
        MAGS_SECRET_KEY="x", MAGS_SECRET_KEY_FILE=str(path), MAGS_VAR_DIR=str(tmp_path),
    )  # fmt: skip
    assert shown.stdout.split() == ["from-the-file", "False"]


@pytest.mark.parametrize("name", ["MAGS_WEB_THREADS", "MAGS_THROTTLE_PER_MINUTE"])
def test_wrong_type_is_loud(name: str, tmp_path: Path) -> None:
    assert (
        name
        in manage("check", **{"MAGS_SECRET_KEY": "x", "MAGS_VAR_DIR": str(tmp_path), name: "many"}).stderr
    )


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "https://mags.example.org"])
def test_deploy_check_is_clean(url: str, tmp_path: Path) -> None:
    key = "k" * 30 + "abcdefghijklmnopqrstuvwxyz0123456789"
    checked = manage(
        "check", "--deploy", "--fail-level", "WARNING",
        MAGS_SECRET_KEY=key, MAGS_VAR_DIR=str(tmp_path), MAGS_PUBLIC_URL=url,
        MAGS_ALLOWED_HOSTS="mags.example.org",
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
