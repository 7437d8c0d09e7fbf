"""The examples of the README do what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import Command

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
EXECUTED = r"<!-- executed by tests/test_readme.py -->\n```{}\n(.*?)```"


def blocks(language: str) -> list[str]:
    return re.findall(EXECUTED.format(language), README, re.DOTALL)


def test_shell_examples_run(mags: Command, tmp_path: Path) -> None:
    script = "\n".join(blocks("sh"))
    binary = tmp_path / "mags"
    binary.write_text(f'#!/bin/sh\nexec {sys.executable} -m mags "$@"\n')
    binary.chmod(0o755)
    ran = subprocess.run(
        ["sh", "-ec", script],
        cwd=tmp_path,
        env={**mags.environment, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = ran.stdout.splitlines()
    assert lines[:6] == ["Hello World", "hi", "Linux", "the script said 3", "building", "done"]
    assert "● completed  exit 0" in ran.stdout
    assert {"● web is saved as version 1", "● app is up", "app never sleeps from now on."} <= set(lines)
    assert lines[-1] == "The sandbox of app is being stopped."
    assert "experiment is a fork of web." in lines
    assert "experiment is deleted." in lines
    assert ran.stderr == "mags: nothing differs between versions 1 and 1\n"


def test_python_examples_run(mags: Command, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b\n")
    plain, staying, files, awaiting = (
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            cwd=tmp_path,
            env=mags.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for code in blocks("python")
    )
    assert plain.splitlines() == [
        "3 ['hello']",
        "line 1",
        "line 2",
        "line 3",
        "404 not_found There is no such thing here.",
    ]
    assert staying.splitlines()[0] == "8000 running"
    assert files.splitlines() == [
        "0 of 4 bytes",
        "4 of 4 bytes",
        "saved as version 1",
        "['study-2', 'study', 'site']",
    ]
    assert awaiting == "['0', '1', '2']\n"


def test_every_command_is_in_the_readme(mags: Command) -> None:
    shown = mags("--help").stdout.decode().partition("Commands:")[2].partition("Examples:")[0]
    for command in re.findall(r"^  ([a-z]+) ", shown, re.MULTILINE):
        assert f"`mags {command}" in README or f"`{command}`" in README, command
