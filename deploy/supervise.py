"""Drives supervisord: start it, ask it, stop it, and find what a killed one left behind."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from deploy.errors import SetupError
from deploy.layout import ROOT, Layout
from deploy.processes import MARKER, VENV_BIN, Process, base_environment

SUPERVISORD = str(VENV_BIN / "supervisord")
START_LIMIT_S = 10
KILL_LIMIT_S = 25  # the longest stop_wait_s, and a little
UNREACHABLE = (OSError, xmlrpc.client.Error)


@dataclass(frozen=True, slots=True)
class State:
    """What supervisord says of one process."""

    name: str
    state: str  # RUNNING, STARTING, BACKOFF, STOPPED, EXITED, FATAL, ...
    pid: int
    description: str


class Supervisor:
    """The supervisord of one stack, over its Unix socket."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.config = layout.run / "supervisord.conf"

    def call(self, method: str, *arguments: object) -> Any:
        """One call, one connection: supervisor's transport cannot be used again after a failure."""
        socket = f"unix://{self.layout.run}/supervisor.sock"
        transport: xmlrpc.client.Transport = SupervisorTransport(None, None, socket)  # type: ignore[no-untyped-call] # it has no annotations
        # The address is not used: the transport goes to the socket.
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as server:
            return getattr(server.supervisor, method)(*arguments)

    def is_up(self) -> bool:
        with contextlib.suppress(*UNREACHABLE):
            return bool(self.call("getState")["statename"] == "RUNNING")
        return False

    def start(self) -> None:
        """Start supervisord in the background; it starts the processes."""
        done = subprocess.run(
            [SUPERVISORD, "--configuration", str(self.config)],
            cwd=ROOT, env={**base_environment(self.layout), "MAGS_PROCESS": "supervisord"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SetupError(f"supervisord did not start: {done.stderr.strip() or done.stdout.strip()}", "")
        deadline = time.monotonic() + START_LIMIT_S
        while not self.is_up():
            if time.monotonic() > deadline:
                raise SetupError("supervisord does not answer", f"see {self.layout.log}/supervisord.log")
            time.sleep(0.05)

    def apply_config(self) -> list[str]:
        """Take over a changed configuration: only what differs is restarted. Returns those names."""
        added, changed, removed = self.call("reloadConfig")[0]
        for name in changed + removed:
            self.call("stopProcessGroup", name)
            self.call("removeProcessGroup", name)
        for name in added + changed:
            self.call("addProcessGroup", name)
        return [*added, *changed, *removed]

    def states(self) -> list[State]:
        return [
            State(info["name"], info["statename"], info["pid"], info["description"])
            for info in self.call("getAllProcessInfo")
        ]

    def state(self, name: str) -> State:
        return next(state for state in self.states() if state.name == name)

    def ensure_started(self, name: str) -> None:
        if self.state(name).state not in {"RUNNING", "STARTING"}:
            self.call("startProcess", name)

    def stop(self, names: list[str]) -> None:
        """Stop processes one after the other, waiting for each."""
        for name in names:
            if self.state(name).state not in {"STOPPED", "EXITED", "FATAL"}:
                self.call("stopProcess", name)

    def shutdown(self) -> None:
        """Stop all processes at once, then supervisord itself."""
        if not self.is_up():
            return
        pid = self.call("getPID")
        # Together: left alone, supervisord stops one after the other.
        self.call("stopAllProcesses")
        with contextlib.suppress(*UNREACHABLE):
            self.call("shutdown")
        wait_gone([pid], KILL_LIMIT_S)


def leftovers(layout: Layout, processes: list[Process]) -> list[int]:
    """Processes of this stack that run without their supervisor.

    Known by the marker in their environment, their pid namespace and their program, so that neither
    conmon (which must outlive the agent) nor anything inside a sandbox is ever taken for one.
    """
    programs = {process.command[0] for process in processes}
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdecimal() and _is_ours(entry, layout, programs)
    ]


def _is_ours(entry: Path, layout: Layout, programs: set[str]) -> bool:
    try:
        environ = (entry / "environ").read_bytes().split(b"\0")
        argv = [os.fsdecode(word) for word in (entry / "cmdline").read_bytes().split(b"\0")]
        is_same_namespace = (entry / "ns/pid").readlink() == Path("/proc/self/ns/pid").readlink()
    except OSError:  # gone meanwhile
        return False
    is_marked = f"{MARKER}={layout.var}".encode() in environ and any(
        v.startswith(b"MAGS_PROCESS=") for v in environ
    )
    return is_marked and is_same_namespace and (argv[0] in programs or SUPERVISORD in argv[:2])


def end_leftovers(layout: Layout, processes: list[Process]) -> int:
    """SIGTERM, then SIGKILL. Returns how many there were."""
    pids = leftovers(layout, processes)
    remaining = _signal_and_wait(pids, signal.SIGTERM, KILL_LIMIT_S)
    _signal_and_wait(remaining, signal.SIGKILL, 5)
    return len(pids)


def _signal_and_wait(pids: list[int], signum: signal.Signals, limit_s: float) -> list[int]:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)
    return wait_gone(pids, limit_s)


def wait_gone(pids: list[int], limit_s: float) -> list[int]:
    """Wait until these processes have ended; returns those that have not."""
    deadline = time.monotonic() + limit_s
    return [pid for pid in pids if not _ends(pid, max(0.0, deadline - time.monotonic()))]


def _ends(pid: int, limit_s: float) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(descriptor, "rb") as pidfd:
        return bool(select.select([pidfd], [], [], limit_s)[0])
