"""The image that `make up` builds publishes itself, and is all that a host that has nothing needs.

Hundreds of MB go to the store and back, so it runs where WHOLE_IMAGE is set.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy import agents
from deploy.agents import Agent
from deploy.layout import ROOT
from deploy.processes import PYTHON, environment_for_command
from hostagent.drivers import builds
from tests.e2e.running import RunningStack, apart, running_stack

pytestmark = [
    pytest.mark.stack,
    pytest.mark.privileged,
    pytest.mark.timeout(900),
    pytest.mark.skipif("WHOLE_IMAGE" not in os.environ, reason="WHOLE_IMAGE is not set"),
]
LIMIT_S = 400.0


def until(is_so: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


@contextmanager
def running_agent(stack: RunningStack, agent: Agent) -> Iterator[None]:
    """Enrolled and run by hand, as on a machine of its own: nothing was built there."""
    environment = environment_for_command(stack.layout, agent.environment)
    token = stack.manage("host_enrolment_token").strip()
    command = [PYTHON, "-m", "hostagent"]
    subprocess.run([*command, "enrol", token], cwd=ROOT, env=environment, check=True)
    with (stack.layout.log / "agent-b.log").open("wb") as log:
        process = subprocess.Popen([*command, "run"], cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def present(agent_state: Path) -> str:
    return builds.build_of(agent_state / "fs/images/standard")


def test_standard_comes_to_a_host_that_has_nothing() -> None:
    with running_stack(MAGS_AGENT_IMAGE_PUBLISH_S="1") as stack, stack.client() as http:
        own = present(stack.layout.agent_state)

        def published() -> bool:
            [image] = http.get("/mags-images").json()["images"]
            return bool(image["build"] == own)

        until(published, "the stack's own host has published what it built")
        agent = agents.define(stack.layout, "b", apart(stack.layout, 2))
        with running_agent(stack, agent):
            until(lambda: present(agent.state) == own, "b has the image")
            stack.manage("host_drain", subprocess.check_output(["hostname"], text=True).strip())
            job = http.post("/mags-jobs", json={"script": "python3 -c 'print(6 * 7)'"}).json()["request_id"]
            until(lambda: http.get(f"/mags-jobs/{job}").json()["status"] == "completed", "the job ends")
            assert http.get(f"/mags-jobs/{job}").json()["host"] == "b"
            logs = http.get(f"/mags-jobs/{job}/logs").json()["logs"]
            assert [entry["message"] for entry in logs] == ["42"]
