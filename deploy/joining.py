"""What each agent of a stack needs before it does its work: an image, the server's address, a key."""

from __future__ import annotations

import json
import subprocess

from deploy.agents import Agent
from deploy.errors import SetupError
from deploy.layout import ROOT, write_private
from deploy.processes import PYTHON, environment_for_command
from deploy.progress import step
from deploy.stack import Stack, run

IMAGE = "standard"


def build_image(stack: Stack, agent: Agent) -> None:
    """The image's own command shows its progress; it returns at once when the image is there."""
    command = [PYTHON, "-m", "hostagent", "image", "build", IMAGE]
    environment = environment_for_command(stack.layout, agent.environment)
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
        raise SetupError(
            f"the image {IMAGE} could not be built", "the lines above say why; `make up` goes on from here"
        )


def point(stack: Stack, agent: Agent) -> None:
    """Web may listen elsewhere than when the agent joined; the host stays the same."""
    path = agent.state / "identity.json"
    if not path.exists():
        return
    identity = json.loads(path.read_text(encoding="utf-8"))
    if identity["server"] != stack.layout.web_url:
        write_private(path, json.dumps({**identity, "server": stack.layout.web_url}))


def enrol(stack: Stack, agent: Agent, token: str | None) -> None:
    """Trade a one-time token for the host's own key, once."""
    if agent.is_enrolled:
        return
    command = [PYTHON, "-m", "hostagent", "enrol", "--server", stack.layout.web_url, "-"]
    environment = environment_for_command(stack.layout, agent.environment)
    with step(f"enrolling {agent.process}"):
        token = token or stack.manage(["host_enrolment_token", "--hours=0.5"], "no token was made").strip()
        run(command, environment, f"{agent.process} could not be enrolled", token)


def start(stack: Stack, agent: Agent) -> None:
    with step(f"{agent.process} is ready"):
        stack.supervisor.ensure_started(agent.process)
        stack.health.wait(agent.process, lambda: stack.health.agent(agent))
    with step(f"{agent.data_process} is ready"):
        stack.supervisor.ensure_started(agent.data_process)
        stack.health.wait(agent.data_process, lambda: stack.health.data_port(agent))
