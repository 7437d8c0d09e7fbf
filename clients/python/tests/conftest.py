"""A fake server of its own for each test, a home directory, and the real command as a process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_server import TOKEN, FakeServer

from mags import Mags

PASSED_ON = ("PATH", "LANG", "PYTHONPATH", "COVERAGE_PROCESS_START")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith("MAGS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("HOME", str(path))
    return path


@pytest.fixture
def client(server: FakeServer) -> Iterator[Mags]:
    with Mags(TOKEN, server.url, retry_for=5, reconnect_for=10) as connected:
        yield connected


class Command:
    """Runs `mags` as a process of its own, logged in to the fake server unless told otherwise."""

    def __init__(self, home: Path, url: str) -> None:
        passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self.environment = {**passed_on, "HOME": str(home), "MAGS_API_URL": url, "MAGS_API_TOKEN": TOKEN}
        self.directory = home

    @staticmethod
    def line(*args: str) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "mags", *args]

    def __call__(self, *args: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        environment = {**self.environment, **options.pop("env", {})}
        return subprocess.run(
            self.line(*args),
            capture_output=True,
            timeout=40,
            check=False,
            cwd=self.directory,
            env={name: value for name, value in environment.items() if value is not None},
            **{"input": b"", **options},
        )

    def start(self, *args: str, **options: Any) -> subprocess.Popen[bytes]:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            self.line(*args), cwd=self.directory, env=self.environment, **{**pipes, **options}
        )


@pytest.fixture
def mags(home: Path, server: FakeServer) -> Command:
    return Command(home, server.url)
