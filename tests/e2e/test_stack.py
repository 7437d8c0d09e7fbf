"""The stack as `make up` starts it: the first job, who runs as what, and what survives a kill."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from deploy import up
from deploy.errors import SetupError
from deploy.layout import ROOT
from deploy.processes import run_as
from deploy.supervise import Supervisor
from tests.e2e.running import RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.privileged, pytest.mark.timeout(300)]

MAGS = str(ROOT / ".venv/bin/mags")
SERVERS = ("redis", "s3", "web", "worker", "beat")


def mags(stack: RunningStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [MAGS, *arguments]
    return subprocess.run(
        command, env=stack.environment(), capture_output=True, text=True, timeout=60, check=False
    )


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def run_job(stack: RunningStack, script: str) -> dict[str, object]:
    with stack.client() as client:
        job_id = client.post("/mags-jobs", json={"script": script}).raise_for_status().json()["request_id"]
        job: dict[str, object] = {}
        while job.get("status") not in {"completed", "error"}:
            job = client.get(f"/mags-jobs/{job_id}/status", params={"wait": 30}).raise_for_status().json()
        logs = client.get(f"/mags-jobs/{job_id}/logs").raise_for_status().json()["logs"]
    return {**job, "output": [entry["message"] for entry in logs if entry["stream"] == "stdout"]}


def test_hello_world_through_the_api(stack: RunningStack) -> None:
    job = run_job(stack, "echo Hello World; exit 3")
    assert (job["status"], job["exit_code"], job["output"]) == ("completed", 3, ["Hello World"])


def test_hello_world_through_the_command_line(stack: RunningStack) -> None:
    done = mags(stack, "run", "echo Hello World; echo oops >&2; exit 7")
    assert (done.returncode, done.stdout) == (7, "Hello World\n")
    assert "oops" in done.stderr


def test_what_differs_between_versions(stack: RunningStack) -> None:
    """By the command line: of two that are on the host, and of one that is in the bucket only."""

    def save(script: str) -> None:
        for words in (("run", "-w", "differs", "-p", script), ("sync", "differs")):
            done = mags(stack, *words)
            assert done.returncode == 0, done.stderr

    save("cd /root; mkdir d; touch same; echo a > d/changed; echo a > gone")
    save("cd /root; rm gone; echo b > d/changed; touch new \"$(printf 'd/odd\\377\\033[2J')\"")
    done = mags(stack, "workspace", "diff", "differs")
    changes = ["~ root/d/changed", "+ root/d/odd\\xff\\x1b[2J", "- root/gone", "+ root/new"]
    assert done.stdout.splitlines() == changes, done.stderr
    assert done.stderr == "mags: 2 added, 1 changed, 1 removed between versions 1 and 2\n"
    save("echo c > /root/same")
    done = mags(stack, "workspace", "diff", "differs", "1")
    assert done.stdout.splitlines() == [*changes, "~ root/same"], done.stderr
    with stack.client() as client:
        answer = client.get("/mags-workspaces/differs/diff", params={"from": 3, "to": 1})
        assert b"root/d/odd\\udcff" in answer.content
        assert (answer.json()["added"], answer.json()["changed"]) == (
            ["root/gone"],
            ["root/d/changed", "root/same"],
        )
    assert mags(stack, "stop", "differs").returncode == 0


@pytest.mark.parametrize("name", SERVERS)
def test_servers_have_no_rights(stack: RunningStack, name: str) -> None:
    status = status_of(stack.pid(name))
    assert status["CapEff"] == status["CapPrm"] == status["CapBnd"] == status["CapInh"] == "0" * 16
    assert status["NoNewPrivs"] == "1"
    assert status["Groups"] == ""
    uids = {int(uid) for uid in status["Uid"].split()}
    assert uids == {run_as(stack.layout).pw_uid}


def test_only_the_agent_has_rights(stack: RunningStack) -> None:
    """The positive control of the test above: the same look at a process that does have them."""
    status = status_of(stack.pid("agent"))
    assert status["Uid"].split() == ["0"] * 4
    assert int(status["CapEff"], 16)


def test_the_agent_does_not_know_the_servers_secrets(stack: RunningStack) -> None:
    environment = Path(f"/proc/{stack.pid('agent')}/environ").read_bytes()
    web = Path(f"/proc/{stack.pid('web')}/environ").read_bytes()
    key = (stack.layout.secrets / "secret_key").read_bytes().strip()
    assert key in web
    assert key not in environment
    assert b"MAGS_REDIS_URL" not in environment


def test_secrets_are_readable_by_root_only(stack: RunningStack) -> None:
    private = [*stack.layout.secrets.iterdir(), stack.layout.dev_env, *stack.layout.run.glob("*.env")]
    assert len(private) >= 7
    assert {oct(path.stat().st_mode & 0o777) for path in private} == {"0o600"}


def test_everything_listens_on_loopback_only(stack: RunningStack) -> None:
    pids = {stack.pid(name) for name in SERVERS}
    output = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    ours = [line.split()[3] for line in output.splitlines() if any(f"pid={pid}," in line for pid in pids)]
    assert len(ours) >= 3
    assert {address.rsplit(":", 1)[0] for address in ours} == {"127.0.0.1"}


def test_a_second_up_changes_nothing(stack: RunningStack) -> None:
    names = [*SERVERS, "agent"]
    before = {name: stack.pid(name) for name in names}
    up.up(stack.layout)
    assert {name: stack.pid(name) for name in names} == before


@pytest.mark.parametrize("name", ["agent", "web", "worker", "beat", "redis", "s3"])
def test_a_killed_process_comes_back_and_jobs_run(stack: RunningStack, name: str) -> None:
    before = stack.kill(name, signal.SIGKILL)
    stack.wait_ready(name)
    assert stack.pid(name) != before
    stack.wait_ready("web")
    assert mags(stack, "run", "echo still here").stdout == "still here\n"


def test_an_agent_that_lost_its_key_joins_again(stack: RunningStack) -> None:
    stack.stop("agent")
    (stack.layout.agent_state / "identity.json").unlink()
    with pytest.raises(SetupError, match=r"deploy/manage host_revoke") as refused:
        up.up(stack.layout)
    assert "magsenrol_" not in str(refused.value)
    stack.manage("host_revoke", socket.gethostname())
    up.up(stack.layout)
    assert mags(stack, "run", "echo joined").stdout == "joined\n"


def test_up_recovers_from_a_killed_supervisor(stack: RunningStack) -> None:
    supervisor = Supervisor(stack.layout)
    os.kill(supervisor.call("getPID"), signal.SIGKILL)
    up.up(stack.layout)
    assert supervisor.is_up()
    assert mags(stack, "run", "echo recovered").stdout == "recovered\n"


def test_a_running_job_survives_the_death_of_everything_that_manages_it(stack: RunningStack) -> None:
    with stack.client() as client:
        script = {"script": "echo one; sleep 4; echo two; exit 9"}
        job_id = client.post("/mags-jobs", json=script).raise_for_status().json()["request_id"]
        job = client.get(f"/mags-jobs/{job_id}/status").raise_for_status().json()
        while job["status"] == "accepted":
            job = client.get(f"/mags-jobs/{job_id}/status", params={"wait": 10}).raise_for_status().json()
    supervisor = Supervisor(stack.layout)
    pids = [supervisor.call("getPID"), *(stack.pid(name) for name in (*SERVERS, "agent"))]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    up.up(stack.layout)
    with stack.client() as client:
        while job["status"] not in {"completed", "error"}:
            job = client.get(f"/mags-jobs/{job_id}/status", params={"wait": 30}).raise_for_status().json()
        logs = client.get(f"/mags-jobs/{job_id}/logs").raise_for_status().json()["logs"]
    assert (job["status"], job["exit_code"]) == ("completed", 9)
    assert [entry["message"] for entry in logs if entry["stream"] == "stdout"] == ["one", "two"]
