"""Executes what stands in the docs, on a stack."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.layout import ROOT
from tests.docs.pages import Block, blocks, commands, fits, homeward
from tests.e2e.running import RunningStack

BLOCK_LIMIT_S = 120
SEPARATOR = "\0"
PROGRAMS = {
    "bash": ["bash", "-eo", "pipefail", "-c"],
    "python": [sys.executable, "-c"],
    "javascript": ["node", "--input-type=module", "-e"],
}
AUTHOR = {"NAME": "Ada", "EMAIL": "ada@example.org"}


@dataclass(frozen=True, slots=True)
class Home:
    """Where one page's blocks are executed, and as whom."""

    path: Path
    stack: RunningStack
    token: str

    def environment(self) -> dict[str, str]:
        path = f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"
        git = {f"GIT_{who}_{key}": text for who in ("AUTHOR", "COMMITTER") for key, text in AUTHOR.items()}
        own = {"HOME": str(self.path), "PATH": path, "MAGS_API_TOKEN": self.token, "NO_COLOR": "1"}
        return self.stack.environment() | git | own

    def there(self, text: str) -> str:
        """With the addresses of this stack in place of a default one's."""
        port = self.stack.layout.gateway_port
        return (
            text.replace("http://127.0.0.1:8080", self.stack.url)
            .replace(".apps.localhost:8081", f".apps.localhost:{port}")
            .replace("http://127.0.0.1:8081", f"http://127.0.0.1:{port}")
        )

    def execute(self, program: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            program,
            cwd=self.path,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BLOCK_LIMIT_S,
            check=False,
        )


def play(page: str, home: Home) -> None:
    for block in blocks(page):
        if block.file:
            _write(block, homeward(home.path, block.file), home)
        elif block.language == "console":
            _type(block, home)
        else:
            _run(block, home)


def _write(block: Block, target: Path, home: Home) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(home.there(block.text), encoding="utf-8")
    target.chmod(0o755)


def _run(block: Block, home: Home) -> None:
    done = home.execute([*PROGRAMS[block.language], home.there(block.text)])
    assert done.returncode == 0, f"{block.place} ended with {done.returncode}:\n{done.stdout}"
    if block.expected is not None:
        _compare(block.place, home.there(block.expected), done.stdout)


def _type(block: Block, home: Home) -> None:
    """All in one shell, so that variables and directories stay."""
    typed = commands(home.there(block.text))
    script = "".join(f"{command.text}\nprintf '\\0'\n" for command in typed)
    done = home.execute(["bash", "-c", script])
    printed = done.stdout.split(SEPARATOR)
    assert len(printed) == len(typed) + 1, f"{block.place} ended too early:\n{done.stdout}"
    for command, text in zip(typed, printed, strict=False):
        _compare(f"{block.place}, `{command.text}`", command.expected, text)


def _compare(place: str, expected: str, printed: str) -> None:
    assert fits(expected, printed), f"{place} was to print\n{expected}\nand printed\n{printed}"


def left_behind(home: Home) -> list[str]:
    """What the page did not clear away: sandboxes that stay, workspaces and names of URLs."""
    with home.stack.client(home.token) as client:
        jobs = client.get("/mags-jobs", params={"page_size": 200}).json()["jobs"]
        workspaces = client.get("/mags-workspaces", params={"page_size": 200}).json()["workspaces"]
        aliases = client.get("/mags-url-aliases", params={"page_size": 200}).json()["aliases"]
    up = [job for job in jobs if job["status"] in ("accepted", "running") or _stays(job)]
    return [
        *(f"the job {job['name'] or job['request_id']}" for job in up),
        *(f"the workspace {found['name']}" for found in workspaces),
        *(f"the alias {found['subdomain']}" for found in aliases),
    ]


def _stays(job: dict[str, object]) -> bool:
    return job["sandbox"] != "none" and job["stop_requested_at"] is None


def clear(home: Home) -> None:
    """End what the page left running, so that other pages have room."""
    with home.stack.client(home.token) as client:
        for job in client.get("/mags-jobs", params={"page_size": 200}).json()["jobs"]:
            if job["status"] in ("accepted", "running", "sleeping") or job["sandbox"] != "none":
                client.post(f"/mags-jobs/{job['request_id']}/stop")
