"""What the README tells people to type, typed."""

from __future__ import annotations

import re
import subprocess

import pytest

from deploy.layout import ROOT
from tests.e2e.running import RunningStack
from tests.e2e.visitor import Visitor

pytestmark = [pytest.mark.stack, pytest.mark.privileged]

README = (ROOT / "README.md").read_text()
SOURCING = "set -a; . var/dev.env; set +a\n"  # a stack of the test's own stands in for that of `make up`


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def run(stack: RunningStack, *command: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=stack.environment(), capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_command_line(stack: RunningStack) -> None:
    [commands] = [text for text in examples("sh") if text.startswith(SOURCING)]
    printed = run(stack, "bash", "-ec", commands.removeprefix(SOURCING))
    assert "Linux" in printed
    assert str(sum(range(10**7))) in printed
    assert printed.count("\tcompleted\t") >= 2  # `mags list` knows both


def test_public_urls(stack: RunningStack) -> None:
    [commands] = [text for text in examples("sh") if "url alias" in text]
    printed = run(stack, "bash", "-ec", commands)
    assert printed.split()[-1] == f"http://hello.apps.localhost:{stack.layout.gateway_port}"
    assert Visitor(stack).until("hello").text == "Hello\n"


def test_sandboxes_that_stay(stack: RunningStack) -> None:
    [commands] = [text for text in examples("sh") if "mags new" in text]
    printed = run(stack, "bash", "-ec", f"{commands}\n.venv/bin/mags stop box")
    assert "hello from root\n" in printed
    assert "box never sleeps from now on." in printed


def test_workspaces(stack: RunningStack) -> None:
    [commands] = [text for text in examples("sh") if "workspace fork" in text]
    printed = run(stack, "bash", "-ec", commands)
    assert "draft\n" in printed  # the fork has it, and
    assert "README\n" in printed  # what it removes stays where it came from
    assert "\tsync\t" in printed


def test_curl(stack: RunningStack) -> None:
    [command] = [text for text in examples("sh") if text.startswith("curl")]
    assert '"status":"accepted"' in run(stack, "bash", "-ec", command)


def test_python(stack: RunningStack) -> None:
    [code] = examples("python")
    assert run(stack, str(ROOT / ".venv/bin/python"), "-c", code) == "0 42\n"
