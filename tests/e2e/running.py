"""A whole stack of a test run's own: started by the code behind `make up`, on ports and names of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import httpx

from deploy import agents, down, up
from deploy.agents import Agent
from deploy.layout import ROOT, Layout, read_env_file
from deploy.stack import Stack
from tests.servers import ports_in_a_row

TESTS = ROOT / "var" / "test"
START_LIMIT_S = 30
DATA_PORTS = 4  # three are for further hosts
S3_PORTS = 8  # which SeaweedFS takes
SSH_PORTS = 20  # more than a stack's tests open


class RunningStack:
    """What a test does with a stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        dev = read_env_file(stack.layout.dev_env)
        self.layout = stack.layout
        self.url = dev["MAGS_API_URL"]
        self.token = dev["MAGS_API_TOKEN"]
        self.admin_email = dev["MAGS_ADMIN_EMAIL"]
        self.admin_password = dev["MAGS_ADMIN_PASSWORD"]

    def client(self, token: str | None = None) -> httpx.Client:
        """A client of the API, signed in as the admin unless another token is given."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=70, trust_env=False)

    def environment(self) -> dict[str, str]:
        """For the `mags` command: nothing of the shell's own MAGS_* settings."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("MAGS_")}
        return {**inherited, "MAGS_API_URL": self.url, "MAGS_API_TOKEN": self.token}

    def pid(self, name: str) -> int:
        """The process's pid; waits while supervisord is starting it again."""
        deadline = time.monotonic() + START_LIMIT_S
        while not (pid := self._stack.supervisor.state(name).pid):
            assert time.monotonic() < deadline, f"{name} did not come back:\n{self.log(name)[-2000:]}"
            time.sleep(0.02)
        return pid

    def kill(self, name: str, signum: signal.Signals = signal.SIGKILL) -> int:
        """End one process by a signal; supervisord, who has seen it end, starts it again. Returns its pid."""
        pid = self.pid(name)
        os.kill(pid, signum)
        deadline = time.monotonic() + START_LIMIT_S
        while self._stack.supervisor.state(name).pid == pid:
            assert time.monotonic() < deadline, f"{name} (pid {pid}) did not end by {signum.name}"
            time.sleep(0.01)
        return pid

    def stop(self, name: str) -> None:
        self._stack.supervisor.stop([name])

    def start(self, name: str) -> None:
        """Start a stopped process and wait until it does its work."""
        self._stack.supervisor.ensure_started(name)
        self.wait_ready(name)

    def wait_ready(self, name: str) -> None:
        self._stack.health.wait(name, self._check_of(name))

    def _check_of(self, name: str) -> Callable[[], bool] | None:
        """Of a host's processes; the others have theirs by name."""
        health = self._stack.health
        for agent in self._stack.agents:
            if name == agent.process:
                return partial(health.agent, agent)
            if name == agent.data_process:
                return partial(health.data_port, agent)
        return None

    def crash(self, name: str) -> None:
        """End one process by SIGKILL; it does not come back before `start`."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)  # so that it does not see the SIGTERM that supervisord begins with
        self._stack.supervisor.call("stopProcess", name, False)
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + START_LIMIT_S
        while self._stack.supervisor.state(name).state != "STOPPED":
            assert time.monotonic() < deadline, f"{name} (pid {pid}) did not end"
            time.sleep(0.01)

    def agent(self, host: str) -> Agent:
        """Of a further host."""
        return agents.further(self.layout, host)

    def manage(self, *arguments: str) -> str:
        return self._stack.manage(list(arguments), "it failed")

    def log(self, name: str) -> str:
        path = self.layout.log / f"{name}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


@contextlib.contextmanager
def running_stack(further: Mapping[str, int] | None = None, **settings: str) -> Iterator[RunningStack]:
    """Start a stack, with `further` hosts (how many sandboxes each) beside its own one; stop it at the end
    and fail when anything of it is left on the machine."""
    end_stale_stacks()
    layout = new_layout(settings)
    with owned(layout.var):
        try:
            for name, sandboxes in (further or {}).items():
                agents.define(layout, name, apart(layout, sandboxes))
            yield RunningStack(up.up(layout))
        finally:
            end(layout)


def new_layout(own: Mapping[str, str]) -> Layout:
    """Names, ports, addresses and ids that no other stack on this machine has."""
    number = secrets.randbelow(200)
    # In one row: of several, one might lie in another.
    ssh = ports_in_a_row(SSH_PORTS + S3_PORTS + DATA_PORTS + 3)
    s3 = ssh + SSH_PORTS
    data = s3 + S3_PORTS
    web, redis, gateway = range(data + DATA_PORTS, data + DATA_PORTS + 3)
    settings = {
        "MAGS_AGENT_IMAGE_CACHE_DIR": str(ROOT / "var/cache/images"),
        "MAGS_AGENT_NETWORK4": f"10.{30 + number}.0.0/20",
        "MAGS_AGENT_NETWORK6": f"fd6d:6167:73{number:02x}::/64",
        "MAGS_AGENT_ID_BASE": str((64 + number * 64) * 65_536),
        "MAGS_AGENT_STATE_IMAGE_GB": "20",
        "MAGS_AGENT_IMAGE_PUBLISH_S": "0",  # hundreds of MB for each stack
        "MAGS_SSH_PORTS": f"{ssh}-{ssh + SSH_PORTS - 1}",
        **own,
    }
    instance = f"t{secrets.token_hex(3)}"
    return Layout(
        var=TESTS / instance,
        instance=instance,
        web_port=web,
        redis_port=redis,
        s3_port=s3,
        gateway_port=gateway,
        data_port=data,
        settings=tuple(settings.items()),
    )


def apart(layout: Layout, sandboxes: int) -> dict[str, str]:
    """Of a further host. Its ids are within the 64 sandboxes' that are the stack's."""
    first = int(dict(layout.settings)["MAGS_AGENT_ID_BASE"]) // 65_536 + 24
    count = len(agents.further_names(layout))
    base = (first + 10 * count) * 65_536
    return {"MAGS_AGENT_ID_BASE": str(base), "MAGS_AGENT_SANDBOXES": str(sandboxes)}


@contextlib.contextmanager
def owned(var: Path) -> Iterator[None]:
    """Hold a lock on a stack's directory, so that a later run can tell a dead run's stack from a live one."""
    var.mkdir(parents=True)
    var.chmod(0o755)
    descriptor = os.open(var, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def end_stale_stacks() -> None:
    """Clear away the stacks of test runs that were killed."""
    for var in TESTS.glob("t*"):
        descriptor = os.open(var, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            end(Layout(var=var, instance=var.name))
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)


def end(layout: Layout) -> None:
    """Stop the stack and check; its logs stay in var/test/logs until the next one's take their place."""
    down.down(layout)
    shutil.rmtree(TESTS / "logs", ignore_errors=True)
    if layout.log.exists():
        shutil.move(layout.log, TESTS / "logs")
    mounted = down.mounts_below(layout.var)
    assert not mounted, mounted
    shutil.rmtree(layout.var)
