"""Runs in held sandboxes: the runtime's `exec`, below a conmon of the run's own.

conmon is started by `create` and waits at the run's gate. Only `start` opens that, after it has noted so: as
the same conmon can run its script but once, a run starts at most once, whoever dies when.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal as signals
import time
from pathlib import Path

from hostagent.drivers import ends, shim, spec
from hostagent.drivers.base import Exit, FoundRun, Phase, RunSpec
from hostagent.drivers.bundle import Bundle, Claim
from hostagent.drivers.ends import Watched
from hostagent.drivers.host import SHIM, Host
from hostagent.drivers.runbundle import RunBundle
from hostagent.drivers.rungroup import RunGroup
from hostagent.drivers.runoutput import RunOutputs
from hostagent.drivers.stopwatch import Stopwatch
from hostagent.errors import DriverError, SandboxFrozen
from hostagent.linux import cgroup, notify, process

RUN_ID = re.compile(r"[a-z0-9]{8,32}")
KILL_TIMEOUT_S = 10.0  # for a runtime that is about to add the script to the run's group
LOOK_AGAIN_S = 0.002


class OciRuns:
    """See `hostagent.drivers.base.Runs`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._outputs = RunOutputs(host)

    def adopt(self) -> None:
        """An earlier agent may have died before it limited the conmon of a run that it had started."""
        for name in cgroup.children(self._host.groups, self._host.config.instance):
            if name.startswith(SHIM) and "." in name:
                self._limit(self._host.group(name))

    def sweep(self) -> None:
        """Remove the groups of runs that are gone, where what they had left running has ended too."""
        for sandbox_id in [name for name, claim in list(self._host.claims.items()) if claim.is_held]:
            bundle = self._host.bundle(sandbox_id)
            for run_id in cgroup.children(self._host.groups, self._host.group(sandbox_id)):
                # Others are of execs, which are another process's.
                if RUN_ID.fullmatch(run_id) and not RunBundle(bundle, run_id).path.exists():
                    RunGroup(self._host, sandbox_id, run_id).remove()

    async def find(self, sandbox_id: str) -> list[FoundRun]:
        return await self._host.slow(self.found, sandbox_id)

    def found(self, sandbox_id: str) -> list[FoundRun]:
        bundle = self._host.bundle(sandbox_id)
        try:
            names = sorted(path.name for path in (bundle.path / "runs").iterdir())
        except FileNotFoundError:
            return []
        runs = [RunBundle(bundle, name) for name in names if RUN_ID.fullmatch(name)]
        return [FoundRun(run.key, self._phase(run)) for run in runs]

    def _phase(self, run: RunBundle) -> Phase:
        phase = run.phase()
        return Phase.CREATED if phase is Phase.RUNNING and self._still_waits(run) else phase

    def _still_waits(self, run: RunBundle) -> bool:
        """Whether conmon waits although a start was noted: an agent died before it opened the gate. Only a
        second `start` opens it now: launchers, which may outlive an agent for a moment, never do."""
        return self._has_waiter(run) and not run.is_knocked()

    def _has_waiter(self, run: RunBundle) -> bool:
        try:
            gate = run.gate.stat()
            shims = cgroup.pids(self._host.groups, self._group(run).shim, "cpu")
            return any(os.path.samestat(gate, held) for pid in shims for held in process.files(pid))
        except (FileNotFoundError, ProcessLookupError):
            return False

    # --- A run ---

    async def create(self, spec: RunSpec) -> dict[str, int]:
        run = self._run(spec.key)
        # A task of its own: a caller that is cancelled must not leave a half-made run behind.
        return await asyncio.shield(asyncio.create_task(self._create_or_undo(spec, run)))

    async def _create_or_undo(self, spec: RunSpec, run: RunBundle) -> dict[str, int]:
        async with self._host.lock(spec.sandbox_id):
            if run.path.exists():
                raise DriverError(f"{run.name} exists already", "destroy it first")
            try:
                return await self._create(spec, run)
            except Exception as error:
                with contextlib.suppress(OSError, DriverError):  # found again later; the first error is told
                    await self._host.slow(self._remove, run)
                if isinstance(error, OSError):
                    raise DriverError(f"cannot prepare {run.name}: {error}") from error
                raise

    async def _create(self, spec: RunSpec, run: RunBundle) -> dict[str, int]:
        watch = Stopwatch()
        group = self._group(run)
        await self._host.slow(self._write, spec, run)
        shim_group = self._host.groups.path("cpu", group.shim)
        await shim.prepare(self._host.launch, self._host.engine, run, shim_group)
        run.mark_created()
        watch.lap("created")
        return watch.laps

    def _write(self, spec_: RunSpec, run: RunBundle) -> None:
        shell = spec.shell(self._check_sandbox(run).lower)
        process_ = spec.run_process(self._host.config, spec_, shell, directory(run.sandbox))
        run.write(spec_, process_)
        self._group(run).make()
        run.note_oom_kills(self._group(run).oom_kills())

    def _check_sandbox(self, run: RunBundle) -> Claim:
        claim = self._host.claims.get(run.sandbox.sandbox_id)
        if claim is None or not claim.is_held or run.sandbox.phase() is not Phase.RUNNING:
            raise DriverError(f"{run.sandbox.name} is not one that holds runs, or not up")
        return claim

    async def start(self, key: str) -> None:
        run = self._run(key)
        async with self._host.lock(key):
            await self._host.slow(self._open_gate, run)
            try:
                await self._host.slow(self._check_start, run, await self._started_pid(run))
            except DriverError:
                with contextlib.suppress(OSError):  # it may have started all the same
                    await self._host.slow(self._kill, run)
                raise

    def _open_gate(self, run: RunBundle) -> None:
        if cgroup.is_frozen(self._host.groups, self._host.group(run.sandbox.sandbox_id)):
            raise SandboxFrozen(f"{run.sandbox.name} is frozen", "thaw it first")
        if run.phase() is not Phase.RUNNING or not self._still_waits(run):
            if run.phase() is Phase.CREATED and not self._has_waiter(run):
                raise DriverError(f"the shim of {run.name} is gone: it cannot start any more")
            run.mark_started()
        shim.knock(run.gate)
        if run.has_pipes:
            self._outputs.hold(run.key, self._group(run).shim)  # at once: the script may be over in some ms

    async def _started_pid(self, run: RunBundle) -> int:
        try:
            async with asyncio.timeout(shim.ANSWER_TIMEOUT_S):
                answer = await ends.until(self._host, self._watched(run), run.answer_file, notify.MODIFY)
        except TimeoutError as error:
            raise DriverError(f"{run.name} does not start") from error
        return shim.read_pid(self._host.engine, answer.partition(b"\n")[0], "exec")

    def _check_start(self, run: RunBundle, pid: int) -> None:
        group = self._group(run)
        if not group.holds(pid):
            cgroup.kill(self._host.groups, group.shim, "cpu")  # whose child it still is then
            raise DriverError(f"{self._host.engine.runtime.name} did not put {run.name} into its cgroup")
        self._limit(group.shim)  # not earlier: the runtime started below conmon

    def _limit(self, shim_group: str) -> None:
        cgroup.limit_cpu(self._host.groups, shim_group, self._host.config.shim_cpu_percent)

    def spool_path(self, key: str) -> Path:
        return self._run(key).spool

    async def wait(self, key: str) -> Exit:
        run, group = self._run(key), self._group(self._run(key))
        try:
            if run.has_pipes and not self._outputs.holds(key):
                await self._host.slow(self._outputs.hold, key, group.shim)
            code = await ends.wait(self._host, self._watched(run))
            exit_, left = await self._host.slow(self._end, run, code)
            if left:
                await self._outputs.drain(key, run.sandbox.sandbox_id)
        finally:
            self._outputs.let_go(key)
        return exit_

    def _end(self, run: RunBundle, code: int) -> tuple[Exit, set[int]]:
        """How it ended, and which of its processes have not."""
        group = self._group(run)
        is_oom = group.oom_kills() > run.oom_kills_before()
        end = ends.end(self._watched(run), code, is_oom=is_oom, is_disk_full=run.sandbox.is_disk_full())
        return end, cgroup.pids(self._host.groups, group.name)

    async def signal(self, key: str, signum: signals.Signals) -> None:
        await self._host.slow(ends.send, self._host, self._watched(self._run(key)), signum)

    async def kill(self, key: str) -> None:
        run = self._run(key)
        try:
            await self._host.slow(self._kill, run)
        except OSError as error:
            raise DriverError(f"cannot kill {run.name}: {error}") from error

    def _kill(self, run: RunBundle) -> None:
        """All of it: also what the runtime is about to put into the group."""
        group, groups = self._group(run), self._host.groups
        if self._has_waiter(run):
            cgroup.kill(groups, group.shim, "cpu")
        deadline = time.monotonic() + KILL_TIMEOUT_S
        cgroup.kill(groups, group.name)
        while not run.exit_file.exists() and cgroup.pids(groups, group.shim, "cpu"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the shim of {run.name} does not end")
            time.sleep(LOOK_AGAIN_S)
            cgroup.kill(groups, group.name)

    async def destroy(self, key: str) -> None:
        run = self._run(key)
        await asyncio.shield(asyncio.create_task(self._destroy(run)))

    async def _destroy(self, run: RunBundle) -> None:
        self._outputs.let_go(run.key)
        if not run.exit_file.exists():
            await self.kill(run.key)
        async with self._host.lock(run.sandbox.sandbox_id):
            try:
                await self._host.slow(self._remove, run)
            except OSError as error:
                raise DriverError(f"cannot remove {run.name}: {error}", "destroy it again") from error

    def _remove(self, run: RunBundle) -> None:
        group = self._group(run)
        cgroup.kill(self._host.groups, group.shim, "cpu")
        group.remove()
        run.remove()

    def _run(self, key: str) -> RunBundle:
        sandbox_id, _, run_id = key.partition(".")
        if not RUN_ID.fullmatch(run_id):
            raise DriverError(f"{key!r} is not the key of a run")
        return RunBundle(self._host.bundle(sandbox_id), run_id)

    def _group(self, run: RunBundle) -> RunGroup:
        return RunGroup(self._host, run.sandbox.sandbox_id, run.run_id)

    def _watched(self, run: RunBundle) -> Watched:
        group = self._group(run)
        return Watched(run, group.name, group.shim)


def directory(sandbox: Bundle) -> str:
    """Where a run starts: at home, while there is one. The runtime's `create` makes it anew, its `exec` does
    not: after `rm -rf /root` no run could start any more."""
    home = Path(f"/proc/{sandbox.pid()}/root{spec.HOME}")
    return spec.HOME if not home.is_symlink() and home.is_dir() else "/"
