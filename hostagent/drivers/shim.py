"""conmon: the process that owns a sandbox's pipes, output spool and exit file, whatever happens to us."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hostagent.config import Config
from hostagent.drivers.bundle import Bundle
from hostagent.drivers.runbundle import RunBundle
from hostagent.drivers.spec import OOM_SCORE_ADJ
from hostagent.errors import ConfigError, DriverError, SandboxFrozen
from hostagent.linux import process
from hostagent.linux.launch import ENVIRONMENT, Launch

ANSWER_TIMEOUT_S = 30.0
MESSAGE_BYTES = 64 * 1024
SYNC_FD = 3
GATE_FD = 4
# crun's words, or runc's. Not just any "paused", which a tenant's directory may be called too.
_PAUSED = re.compile(r"the container `[^`]*` is paused\Z|cannot exec in a paused container")


@dataclass(frozen=True, slots=True)
class Engine:
    """The programs that make containers, and where the runtime keeps its state (lost at boot)."""

    runtime: Path
    kind: str  # what the runtime calls itself: crun, runc, runsc, ...
    conmon: Path
    choom: Path
    runtime_root: Path

    @property
    def is_crun(self) -> bool:
        return self.kind == "crun"

    @property
    def is_state_a_directory(self) -> bool:
        """All that their `delete` does, once everything is dead, is to remove the cgroups and one directory.
        We do that anyway, and save a process for each sandbox (3 ms of CPU)."""
        return self.kind in ("crun", "runc")

    def runtime_argv(self, *arguments: str) -> list[str]:
        return [str(self.runtime), f"--root={self.runtime_root}", *arguments]

    def gate(self, sandbox_id: str) -> Path:
        """What a created container's init waits at (crun, runc); gone once it was started."""
        return self.runtime_root / sandbox_id / "exec.fifo"

    def has_waiter(self, sandbox_id: str, pid: int | None) -> bool:
        """Whether the process holds the gate: it is the init, and has not begun to run the script. That the
        gate is there does not tell: an agent may have died before it took away the gate it had opened."""
        try:
            gate = self.gate(sandbox_id).stat()
            return any(os.path.samestat(gate, held) for held in process.files(pid or 0))
        except FileNotFoundError:
            return False

    def open_gate(self, sandbox_id: str) -> bool:
        """All that `crun start` does: a byte for the waiting init, and the gate is gone. Done here it takes
        no process (4 ms of CPU for every script). False: not crun, or nobody waits; ask the runtime then."""
        if not self.is_crun:
            return False
        gate = self.gate(sandbox_id)
        if not knock(gate):
            return False
        gate.unlink()
        return True


def knock(gate: Path) -> bool:
    """Send the byte for which an init waits at the gate. False: nobody waits."""
    try:
        fd = os.open(gate, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, b"\0")
    finally:
        os.close(fd)
    return True


def engine(config: Config, runtime_root: Path) -> Engine:
    """Find the programs and files that a sandbox needs, or say which one is missing."""
    for name, setting in ((config.init, "init"), (config.ca_bundle, "ca_bundle")):
        if name and not Path(name).is_file():
            hint = f"apt-get install tini ca-certificates, or set MAGS_AGENT_{setting.upper()} to its path"
            raise ConfigError(f"there is no file {name}", hint)
    runtime, conmon = _program(config.runtime, "runtime"), _program(config.conmon, "conmon")
    return Engine(runtime, _kind(runtime), conmon, _program("choom"), runtime_root)


def _kind(runtime: Path) -> str:
    """The first word of its version, whatever the file's name."""
    try:
        command = [str(runtime), "--version"]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.split()[
            0
        ]
    except (OSError, subprocess.SubprocessError, IndexError) as error:
        raise ConfigError(f"{runtime} does not tell its version: {error}", "is it an OCI runtime?") from error


def _program(name: str, setting: str = "") -> Path:
    found = shutil.which(name, path=ENVIRONMENT["PATH"])
    if found is None:
        hint = f"apt-get install {Path(name).name}"
        hint += f", or set MAGS_AGENT_{setting.upper()} to its path" if setting else ""
        raise ConfigError(f"{name} is not installed", hint)
    return Path(found)


async def create(launch: Launch, engine: Engine, bundle: Bundle, group: Path) -> None:
    """Start conmon in the cgroup directory `group` and, below it, the container up to its waiting init."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        await _spawn(launch, _create_argv(engine, bundle), [writer], group)
    except DriverError:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    try:
        answer = await asyncio.wait_for(_read(reader), ANSWER_TIMEOUT_S)
    except TimeoutError as error:
        raise DriverError(
            f"{engine.runtime.name} create took longer than {ANSWER_TIMEOUT_S:.0f} s"
        ) from error
    read_pid(engine, answer, "create")


async def prepare(launch: Launch, engine: Engine, run: RunBundle, group: Path) -> None:
    """Start conmon in the cgroup directory `group`: it waits at the run's gate, to have the runtime execute
    the run then. It answers to a file: conmon ends, and the exit code with it, where nobody reads a pipe."""
    gate = os.open(run.gate, os.O_RDWR | os.O_CLOEXEC)  # both ends: it never reads the end of a pipe
    answer = os.open(run.answer_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        await _spawn(launch, _exec_argv(engine, run), [answer, gate], group)
    finally:
        os.close(gate)
        os.close(answer)


async def _spawn(launch: Launch, argv: list[str], fds: list[int], group: Path) -> None:
    """`fds`: where conmon answers and, where it is not the launcher that lets it go on, its gate."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    env = {"_OCI_SYNCPIPE": str(SYNC_FD), "_OCI_STARTPIPE": str(GATE_FD)}
    try:
        await launch.spawn(argv, [null, null, null, *fds], env=env, cgroups=[group], is_gated=len(fds) > 1)
    except OSError as error:
        raise DriverError(f"conmon did not start: {error}") from error
    finally:
        os.close(null)


def _create_argv(engine: Engine, bundle: Bundle) -> list[str]:
    runtime = ["--runtime", str(engine.runtime), f"--runtime-arg=--root={engine.runtime_root}"]
    return [
        *_argv(engine, bundle.sandbox_id, bundle.path, bundle.spool, bundle.fs.exits),
        *("--name", bundle.sandbox_id, *runtime),
    ]


def _exec_argv(engine: Engine, run: RunBundle) -> list[str]:
    # The runtime by way of choom: its `exec` does not know oomScoreAdj, and conmon sets it to 0 for it.
    runtime = ["-n", str(OOM_SCORE_ADJ), "--", str(engine.runtime), f"--root={engine.runtime_root}"]
    return [
        *_argv(engine, run.sandbox.sandbox_id, run.path, run.spool, run.path),
        *("--exec", "--exec-process-spec", str(run.process_file), "--runtime", str(engine.choom)),
        *(f"--runtime-arg={argument}" for argument in runtime),
        f"--runtime-opt=--cgroup={run.run_id}",
        *run.shim_options,
    ]


def _argv(engine: Engine, sandbox_id: str, path: Path, spool: Path, exits: Path) -> list[str]:
    return [
        *(str(engine.conmon), "--api-version", "1", "--sync", "--cid", sandbox_id, "--cuuid", sandbox_id),
        *("--bundle", str(path), "--full-attach", "--container-pidfile", f"{path}/pid"),
        # Not synced at the end: the page cache outlives processes, and a crash of the machine ends the job.
        *("--log-path", f"k8s-file:{spool}", "--no-sync-log", "--log-level", "error"),
        *("--exit-dir", str(exits)),
    ]


async def _read(fd: int) -> bytes:
    """Everything up to the end of the pipe or the first whole line; closes it."""
    loop = asyncio.get_running_loop()
    stream = asyncio.StreamReader(limit=MESSAGE_BYTES)
    protocol = asyncio.StreamReaderProtocol(stream)
    transport, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(fd, "rb", buffering=0))
    try:
        with contextlib.suppress(ValueError):  # a longer line than we care to read
            return await stream.readline()
        return b""
    finally:
        transport.close()


def read_pid(engine: Engine, answer: bytes, command: str) -> int:
    """conmon answers the container's pid, or a negative number and what the runtime said."""
    try:
        message = json.loads(answer, strict=False)
        pid = int(message["data"])
    except (ValueError, KeyError, TypeError) as error:
        raise DriverError(
            f"conmon ended before {engine.runtime.name} {command} ({answer[:200]!r})"
        ) from error
    if pid <= 0:
        said = str(message.get("message", "")).strip()[:2000]
        kind = SandboxFrozen if _PAUSED.search(said) else DriverError
        raise kind(f"{engine.runtime.name} {command} failed: {said}")
    return pid
