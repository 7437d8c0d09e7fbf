"""The published Python client, in a virtual environment of its own, against a whole stack.

CONTRACT_API_URL and CONTRACT_API_TOKEN name a stack that runs already; otherwise it is the one that all
tests share. (The published client's package is called `mags` like ours: hence the environment.)
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PUBLISHED = "magpie-mags==1.3.8"
ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / "var" / "test" / "magpie-venv"

# Runs what a test gives it, and prints `result`, or the MagsError that was raised.
PRELUDE = """
import json, sys
from mags import Mags
from mags.client import MagsError

def main():
{body}
    return result

try:
    print(json.dumps({{"result": main()}}))
except MagsError as error:
    print(json.dumps({{"error": str(error), "status": error.status_code}}))
"""


@dataclass(frozen=True)
class Server:
    url: str
    token: str


class Published:
    """Runs Python code with the published client, `m = Mags()` done; the code sets `result`."""

    def __init__(self, python: Path, server: Server, directory: Path) -> None:
        self._python = python
        self._directory = directory
        self.environment = {"MAGS_API_URL": server.url, "MAGS_API_TOKEN": server.token, "PATH": os.defpath}

    def __call__(self, code: str, **environment: str) -> Any:
        answer = self.attempt(code, **environment)
        assert "error" not in answer, answer
        return answer["result"]

    def error(self, code: str, **environment: str) -> tuple[str, int | None]:
        """The text and the status of the MagsError that `code` ends with."""
        answer = self.attempt(code, **environment)
        assert "error" in answer, answer
        return answer["error"], answer["status"]

    def attempt(self, code: str, **environment: str) -> dict[str, Any]:
        body = "\n".join(f"    {line}" for line in ["m = Mags()", *code.strip().splitlines()])
        ran = subprocess.run(
            [str(self._python), "-I", "-c", PRELUDE.format(body=body)],
            env={**self.environment, **environment},
            cwd=self._directory,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        answer: dict[str, Any] = json.loads(ran.stdout)
        return answer


@pytest.fixture(scope="session")
def published_python() -> Path:
    """The Python that has the published client; installed once, into var/test."""
    VENV.parent.mkdir(parents=True, exist_ok=True)
    python = VENV / "bin" / "python"
    stamp = VENV / "installed"
    with (VENV.parent / "magpie-venv.lock").open("w") as lock:  # two test runs may want it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != PUBLISHED:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
            pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            subprocess.run([*pip, PUBLISHED], check=True)
            stamp.write_text(PUBLISHED)
    return python


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Server:
    url, token = os.environ.get("CONTRACT_API_URL"), os.environ.get("CONTRACT_API_TOKEN")
    if not (url and token):
        stack = request.getfixturevalue("stack")
        url, token = stack.url, stack.token
    return Server(url, token)


@pytest.fixture
def published(published_python: Path, server: Server, tmp_path: Path) -> Published:
    return Published(published_python, server, tmp_path)
