"""Commands in real sandboxes, as people give them: over REST, a WebSocket, and `mags exec`."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from deploy.layout import ROOT
from tests.e2e.running import RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.privileged, pytest.mark.timeout(300)]

CLIENT = ROOT / "clients/python"
IN_A_ROW = int(os.environ.get("EXECS_IN_A_ROW", "50"))
JOB = "execs"


@pytest.fixture(scope="module")
def api(stack: RunningStack) -> Iterator[httpx.Client]:
    """A client of the API, and a sandbox whose files are saved."""
    with stack.client() as client:
        client.post(
            "/mags-jobs", json={"script": "true", "workspace_id": JOB, "name": JOB, "persistent": True}
        )
        yield client
        client.post(f"/mags-jobs/{JOB}/stop")


def execute(api: httpx.Client, command: str, **body: Any) -> dict[str, Any]:
    answer = api.post(f"/mags-jobs/{JOB}/exec", json={"command": command, **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def mags(stack: RunningStack, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    environment = {**stack.environment(), "PYTHONPATH": str(CLIENT / "src")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, "-m", "mags", *arguments], env=environment, **{**pipes, **options}
    )


class TestRest:
    def test_streams_code_and_quotes(self, api: httpx.Client) -> None:
        answer = execute(api, 'echo "it\'s\n$A"; echo err >&2; exit 7', environment={"A": "b c"})
        assert (answer["stdout"], answer["stderr"], answer["exit_code"]) == ("it's\nb c\n", "err\n", 7)
        assert len(execute(api, "echo " + "x" * (100 * 1024 - 5))["stdout"]) == 100 * 1024 - 4

    def test_a_timeout_and_what_is_left_in_the_background(self, api: httpx.Client) -> None:
        answer = execute(api, "echo before; sleep 60", timeout=1)
        assert (answer["reason"], answer["exit_code"], answer["stdout"]) == ("timed_out", 124, "before\n")
        assert execute(api, "sleep 60 & echo hi")["stdout"] == "hi\n"

    def test_many_in_a_row(self, api: httpx.Client) -> None:
        for _ in range(IN_A_ROW):
            answer = execute(api, "echo ok")
            assert (answer["stdout"], answer["exit_code"], answer["reason"]) == ("ok\n", 0, "exited")

    def test_it_goes_on_without_its_caller(self, api: httpx.Client) -> None:
        mark = uuid.uuid4().hex
        with pytest.raises(httpx.ReadTimeout):
            api.post(f"/mags-jobs/{JOB}/exec", json={"command": f"echo {mark}; sleep 60"}, timeout=1.5)
        [row] = [row for row in api.get(f"/mags-jobs/{JOB}/execs").json()["execs"] if mark in row["command"]]
        assert (row["state"], row["exit_code"]) == ("running", None)
        path = f"/mags-jobs/{JOB}/execs/{row['exec_id']}"
        assert api.get(f"{path}/output?wait=10").json()["data"] == f"{mark}\n"
        assert api.post(f"{path}/signal", json={"signal": "TERM"}).status_code == 200
        assert api.get(f"{path}/output?offset={len(mark) + 1}&wait=10").json()["end"]["exit_code"] == 143
        assert api.get(path).json()["reason"] == "signaled"


class TestSocket:
    @pytest.fixture
    def socket(self, stack: RunningStack, api: httpx.Client) -> Iterator[ClientConnection]:
        url = stack.url.replace("http", "ws", 1) + f"/ws/jobs/{JOB}/exec"
        with connect(url, proxy=None) as socket:
            socket.send(json.dumps({"type": "auth", "token": stack.token}))
            yield socket

    def test_a_login_shell_in_a_terminal(self, socket: ClientConnection) -> None:
        terminal = {"rows": 30, "columns": 100}
        socket.send(json.dumps({"type": "open", "command": None, "terminal": terminal}))
        socket.send(b"stty size; tty\n")
        self.until(socket, b"/dev/pts/")
        socket.send(json.dumps({"type": "resize", "rows": 40, "columns": 90}))
        socket.send(b"sleep 0.2; stty size; sleep 60\n")
        self.until(socket, b"40 90")
        socket.send(b"\x03")
        socket.send(b"exit 5\n")
        _, told = self.until(socket, None)
        assert (told[-1]["type"], told[-1]["exit_code"], told[-1]["reason"]) == ("end", 5, "exited")

    def test_a_slow_reader_gets_everything(self, socket: ClientConnection) -> None:
        socket.send(json.dumps({"type": "open", "command": "head -c 6000000 /dev/zero"}))
        data, told = self.until(socket, None, acknowledges=True)
        assert (len(data), told[-1]["stdout_bytes"]) == (6_000_000, 6_000_000)

    @staticmethod
    def until(
        socket: ClientConnection, text: bytes | None, *, acknowledges: bool = False
    ) -> tuple[bytes, list[dict[str, Any]]]:
        """What came up to a text, or to the end."""
        data, told = b"", list[dict[str, Any]]()
        while (text is None or text not in data) and not (told and told[-1]["type"] == "end"):
            message = socket.recv(timeout=20)
            if isinstance(message, str):
                told.append(json.loads(message))
                continue
            data += message[9:]
            if acknowledges:
                with contextlib.suppress(ConnectionClosed):  # it may have said its last already
                    socket.send(json.dumps({"type": "ack", "stdout_offset": len(data), "stderr_offset": 0}))
        return data, told


class TestCommandLine:
    def test_input_outputs_and_code(self, stack: RunningStack, api: httpx.Client) -> None:
        data = os.urandom(1_000_000)
        process = mags(stack, "exec", JOB, "sha256sum; echo err >&2; exit 9")
        out, err = process.communicate(data, timeout=60)
        again = mags(stack, "exec", JOB, "--", "sh", "-c", 'sha256sum; echo "$0"', "a b")
        assert (len(out), err, process.returncode) == (68, b"err\n", 9)
        assert again.communicate(data, timeout=60)[0] == out + b"a b\n"

    @pytest.mark.parametrize("killed", ["web", "data"])
    def test_a_lost_connection_costs_nothing(
        self, stack: RunningStack, api: httpx.Client, killed: str
    ) -> None:
        process = mags(stack, "exec", "-n", JOB, "for i in 1 2 3 4 5 6; do echo $i; sleep 1; done; exit 3")
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        stack.kill(killed)
        out, err = process.communicate(timeout=60)
        assert (out, process.returncode) == (b"2\n3\n4\n5\n6\n", 3), err
        stack.wait_ready(killed)

    def test_ctrl_c_goes_to_the_command(self, stack: RunningStack, api: httpx.Client) -> None:
        command = "trap 'echo heard; exit 6' INT; echo ready; while :; do sleep 0.1; done"
        process = mags(stack, "exec", "-n", JOB, command)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(2)
        assert (process.communicate(timeout=30)[0], process.returncode) == (b"heard\n", 6)

    def test_a_stopped_sandbox_is_woken_with_its_files(
        self, stack: RunningStack, api: httpx.Client, tmp_path: Path
    ) -> None:
        execute(api, "echo kept > /root/note")
        api.post(f"/mags-jobs/{JOB}/stop")
        process = mags(stack, "exec", "-n", "--json", JOB, "cat /root/note")
        answer = json.loads(process.communicate(timeout=90)[0])
        assert (answer["stdout"], answer["exit_code"]) == ("kept\n", 0)
