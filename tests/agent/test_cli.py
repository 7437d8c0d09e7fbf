"""The command line: joining a server, the refusals, and talking to a running agent."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from hostagent import control, identity
from hostagent.errors import AgentError
from hostagent.version import VERSION
from tests.agent.conftest import Agent
from tests.agent.fake_control_plane import KEY, TOKEN, FakeControlPlane
from tests.agent.processes import ROOT


async def hostagent(state_dir: Path, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hostagent", "--state-dir", state_dir, *arguments, cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, (output + errors).decode()


async def test_enrol_writes_the_identity_for_its_owner_only(plane: FakeControlPlane, tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    status, output = await hostagent(
        state_dir, "enrol", "--server", plane.url, "--token", TOKEN, "--name", "h"
    )
    assert (status, "a-host" in output, KEY in output) == (0, True, False)
    assert identity.load(state_dir) == identity.Identity("a-host", KEY, plane.url)
    assert (state_dir / identity.IDENTITY).stat().st_mode & 0o777 == 0o600
    status, output = await hostagent(state_dir, "enrol", "--server", plane.url, "--token", TOKEN)
    assert status == 1
    assert "enrolled already" in output


async def test_enrol_with_a_used_token_says_so(plane: FakeControlPlane, tmp_path: Path) -> None:
    status, output = await hostagent(tmp_path, "enrol", "--server", plane.url, "--token", "used")
    assert status == 1
    assert "The token is not valid." in output
    assert not (tmp_path / identity.IDENTITY).exists()


async def test_run_before_enrolment_says_what_to_do(tmp_path: Path) -> None:
    status, output = await hostagent(tmp_path, "run")
    assert status == 1
    assert "not enrolled" in output
    assert "hostagent enrol" in output


async def test_version_and_usage(tmp_path: Path) -> None:
    assert await hostagent(tmp_path, "version") == (0, f"hostagent {VERSION}\n")
    status, output = await hostagent(tmp_path, "dance")
    assert status == 2
    assert "usage" in output


async def test_doctor_takes_its_own_options(tmp_path: Path) -> None:
    _, output = await hostagent(tmp_path, "doctor", "--json")
    findings, _ = json.JSONDecoder().raw_decode(output)
    assert {"name", "status", "remedy"} <= set(findings[0])
    assert (await hostagent(tmp_path, "version", "--json"))[0] == 2


async def test_commands_reach_the_running_agent(agent: Agent, plane: FakeControlPlane) -> None:
    lease = await plane.submit("echo up; sleep 60", environment={"SECRET": "hunter2"})
    await plane.wait(lambda: lease.text == "up\n")
    assert agent.worker is not None
    state_dir = agent.config.state_dir
    async with control.serve(state_dir, agent.worker.command):
        status, output = await hostagent(state_dir, "status")
        assert status == 0
        (told,) = json.loads(output)["leases"]
        assert (told["sandbox"], told["phase"]) == (lease.sandbox_id, "started")
        assert "hunter2" not in output
        assert (await hostagent(state_dir, "drain"))[0] == 0
        await plane.wait(lambda: plane.beats[-1]["draining"])
        assert (await hostagent(state_dir, "undrain"))[0] == 0
        await plane.wait(lambda: not plane.beats[-1]["draining"])
        assert "error" in await control.ask(state_dir, "dance")


async def test_drain_is_noted_where_no_agent_runs(tmp_path: Path) -> None:
    status, output = await hostagent(tmp_path, "drain")
    assert (status, "no agent is running" in output) == (0, True)
    assert (tmp_path / "draining").exists()
    status, output = await hostagent(tmp_path, "status")
    assert status == 1
    assert "hostagent run" in output


async def test_control_socket_works_however_deep_the_directory_is(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 200)
    deep.mkdir()

    async def echo(command: str) -> dict[str, str]:
        return {"said": command}

    async with control.serve(deep, echo):
        assert await control.ask(deep, "hello") == {"said": "hello"}
    with pytest.raises(AgentError, match="no agent answers"):
        await control.ask(deep, "hello")


def test_lock_is_free_again_after_its_holder(tmp_path: Path) -> None:
    with identity.lock(tmp_path), pytest.raises(AgentError, match="another agent"), identity.lock(tmp_path):
        pass
    with identity.lock(tmp_path):
        assert (tmp_path / identity.LOCK).exists()


async def test_nothing_secret_is_logged_or_journaled(
    agent: Agent, plane: FakeControlPlane, capfd: pytest.CaptureFixture[str]
) -> None:
    lease = await plane.submit(": script-secret; echo up; sleep 60", environment={"A": "environment-secret"})
    await plane.wait(lambda: lease.text == "up\n")
    entries = b"".join(path.read_bytes() for path in agent.journal.rglob("*") if path.is_file())
    journal = entries.decode(errors="replace")
    await plane.wish_stop(lease)
    await plane.finished(lease)
    logged = "".join(capfd.readouterr())
    assert lease.sandbox_id in logged
    for secret in ("script-secret", "environment-secret", KEY):
        assert secret not in logged
        assert secret not in journal
