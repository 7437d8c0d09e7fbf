"""Commands in held sandboxes: runs that are another process's than the agent's, with input and terminals.

execs/<run id>/    as a run's directory, below that of the sandbox, and made, found and removed by the data
                   port alone. <run id> is exec-<exec id>: what sweeps runs leaves its control groups alone
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from hostagent.drivers import spec as oci
from hostagent.drivers.base import ExecSpec, Phase, RunSpec, Terminal
from hostagent.drivers.runbundle import RunBundle
from hostagent.drivers.runs import LOOK_AGAIN_S, OciRuns, directory
from hostagent.drivers.visitor import Visitor
from hostagent.errors import DriverError
from hostagent.linux import cgroup, process

EXEC = "exec-"
EXEC_ID = re.compile(r"[a-z0-9]{8,32}")
# What tells of the kind of input, for whoever finds the directory later.
PIPE, TERMINAL = "pipe", "terminal"
END_STDIN_S = 10.0  # for a shim that is busy
THAW_S = 5.0  # from a freeze to the thaw, for an agent that is busy
ATTACH_BYTES = 64 * 1024  # more than conmon sends at once

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ExecBundle(RunBundle):
    @property
    def path(self) -> Path:
        return self.sandbox.path / "execs" / self.run_id

    @property
    def has_terminal(self) -> bool:
        return (self.path / TERMINAL).exists()

    @property
    def has_stdin(self) -> bool:
        return (self.path / PIPE).exists()

    @property
    def has_input(self) -> bool:
        return self.has_stdin or self.has_terminal

    @property
    def has_pipes(self) -> bool:
        return not self.has_terminal

    @property
    def shim_options(self) -> tuple[str, ...]:
        if self.has_terminal:  # its end is a character in it, not the end of a connection to conmon
            return ("--terminal", "--stdin", "--leave-stdin-open")
        return ("--stdin",) if self.has_stdin else ()

    def note_input(self, spec: ExecSpec) -> None:
        if spec.terminal is not None:
            (self.path / TERMINAL).touch()
        elif spec.has_stdin:
            (self.path / PIPE).touch()

    @contextlib.contextmanager
    def attached(self) -> Iterator[socket.socket]:
        """A connection to conmon."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            place = os.open(
                self.path, os.O_PATH | os.O_CLOEXEC
            )  # the whole path may be too long for a socket's
            try:
                sock.connect(f"/proc/self/fd/{place}/attach")
            finally:
                os.close(place)
            yield sock


class OciExecs(OciRuns):
    """See `hostagent.drivers.base.Runs`; `script` is a command."""

    def __init__(self, visitor: Visitor) -> None:
        super().__init__(visitor)
        self._visitor = visitor

    async def slow(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a blocking call in a thread."""
        return await self._host.slow(work, *args, **kwargs)

    def bundle(self, key: str) -> ExecBundle:
        return self._run(key)

    def _run(self, key: str) -> ExecBundle:
        sandbox_id, _, run_id = key.partition(".")
        if not run_id.startswith(EXEC) or not EXEC_ID.fullmatch(run_id.removeprefix(EXEC)):
            raise DriverError(f"{key!r} is not the key of an exec")
        return ExecBundle(self._host.bundle(sandbox_id), run_id)

    def _write(self, spec: RunSpec, run: RunBundle) -> None:
        if not isinstance(spec, ExecSpec) or not isinstance(run, ExecBundle):
            raise TypeError("an exec is made of an ExecSpec")
        self._visitor.look_up(spec.sandbox_id)
        self._check_sandbox(run)
        process_ = oci.exec_process(self._host.config, spec, directory(run.sandbox))
        run.path.parent.mkdir(mode=0o700, exist_ok=True)
        run.write(spec, process_)
        run.note_input(spec)
        self._group(run).make()
        run.note_oom_kills(self._group(run).oom_kills())

    def _open_gate(self, run: RunBundle) -> None:
        """An agent that has just frozen the sandbox sees who is connected to it, and thaws it again."""
        deadline = time.monotonic() + THAW_S
        while self.is_sandbox_frozen(run.key) and time.monotonic() < deadline:
            time.sleep(LOOK_AGAIN_S)
        super()._open_gate(run)

    def is_sandbox_frozen(self, key: str) -> bool:
        return cgroup.is_frozen(self._host.groups, self._host.group(self._run(key).sandbox.sandbox_id))

    def is_sandbox_up(self, key: str) -> bool:
        """Whether its first process lives."""
        sandbox = self._run(key).sandbox
        pid = sandbox.pid()
        return pid is not None and sandbox.phase() is Phase.RUNNING and not process.is_ending(pid)

    def found_keys(self) -> list[str]:
        """Of all execs of which anything exists, in whatever sandbox."""
        names = self._host.fs.sandboxes.glob(f"*/execs/{EXEC}*")
        return [f"{path.parent.parent.name}.{path.name}" for path in names]

    def phase(self, key: str) -> Phase:
        return self._phase(self._run(key))

    def resize(self, key: str, terminal: Terminal) -> None:
        """Nothing where it has no terminal, or has ended."""
        with contextlib.suppress(OSError):
            fd = os.open(self._run(key).path / "winsz", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(fd, f"{terminal.rows} {terminal.columns}\n".encode())
            finally:
                os.close(fd)

    def open_stdin(self, key: str) -> int | None:
        """One more writing end of the pipe that it reads. None where conmon has closed its own."""
        for entry in self._stdin_pipes(key):
            with contextlib.suppress(OSError):
                return os.open(entry, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        return None

    def open_terminal(self, key: str) -> int | None:
        """conmon's own end of the terminal, once more. conmon itself waits until what it writes is taken, and
        passes no output on meanwhile."""
        shim = self._group(self._run(key)).shim
        for pid in cgroup.pids(self._host.groups, shim, "cpu"):
            with contextlib.suppress(OSError), process.pidfd(pid) as handle:
                # Looked up after opening, as the number could be another process's by now.
                if pid in cgroup.pids(self._host.groups, shim, "cpu"):
                    for number in process.terminals(pid):
                        return process.take(handle, number)
        return None

    def end_stdin(self, key: str) -> None:
        """conmon closes its end when somebody who is connected to it says the end. It is looked at whether it
        did: 2.1.6 overlooks it now and then, where that one has gone before it was answered."""
        deadline = time.monotonic() + END_STDIN_S
        with self._run(key).attached() as sock:
            sock.settimeout(LOOK_AGAIN_S)
            sock.shutdown(socket.SHUT_WR)
            while self._stdin_pipes(key):
                if time.monotonic() > deadline:
                    raise DriverError(f"the shim of {key} does not close its input")
                with contextlib.suppress(TimeoutError):
                    if not sock.recv(ATTACH_BYTES):  # output: it would wait for whoever does not read it
                        time.sleep(LOOK_AGAIN_S)

    def _stdin_pipes(self, key: str) -> list[Path]:
        shim = self._group(self._run(key)).shim
        found: list[Path] = []
        for pid in cgroup.pids(self._host.groups, shim, "cpu"):
            with contextlib.suppress(FileNotFoundError):  # it has ended
                found += process.pipes(pid, os.O_WRONLY).values()
        return found

    def remove_groups(self, key: str) -> bool:
        """Whether nothing that the command left is alive any more."""
        group = self._group(self._run(key))
        group.remove()
        return not cgroup.pids(self._host.groups, group.name)
