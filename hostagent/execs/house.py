"""All execs on this host: starts each at most once, and finds them again after this process was killed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from execwire.frames import Open
from hostagent.config import Config
from hostagent.drivers.base import ExecSpec, Phase, Terminal
from hostagent.drivers.execs import EXEC, OciExecs
from hostagent.drivers.visitor import Visitor
from hostagent.errors import AgentError, DriverError, SandboxFrozen
from hostagent.execs.errors import ExecError
from hostagent.execs.records import End, Start, load, save
from hostagent.execs.running import AGAIN_S, Exec
from hostagent.linux import cgroup

LAUNCHER = "launcher-exec"
SWEEP_S = 60.0
# A sandbox may be frozen while an exec is started: its agent sees that somebody is there, and thaws it.
FROZEN_TRIES = 3
# A caller that was not answered may ask again for so long: an id that is known does not start twice.
FORGET_S = 24 * 3600.0

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    output_bytes: int = 64 << 20  # of an exec's spool that are kept
    keep_s: float = 3600.0  # for so long after the end
    sandbox_execs: int = 64  # at once


class Execs:
    def __init__(self, config: Config, limits: Limits) -> None:
        self._visitor = Visitor(config, LAUNCHER)
        self._driver = OciExecs(self._visitor)
        self._limits = limits
        self._live: dict[str, Exec] = {}
        self._starting: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def recover(self) -> None:
        """Go on with what an earlier process had started, and remove what it had not."""
        await self._recover_all()
        self._spawn(self._sweep_for_ever())

    async def _recover_all(self) -> None:
        for key in await self._visitor.slow(self._driver.found_keys):
            try:
                async with self._visitor.lock(f"open {key}"):
                    await self._recover(key)
            except (OSError, AgentError) as error:  # tried again by the sweep
                logger.warning("exec_not_found_again", exec=key, error=str(error))

    async def _recover(self, key: str) -> None:
        if key in self._live or load(self._driver.bundle(key).path, End) is not None:
            return
        await self._visitor.ready()
        if await self._visitor.slow(self._driver.phase, key) in (Phase.BUILDING, Phase.CREATED):
            await self._driver.destroy(key)  # it has certainly not started
        else:
            self._watch(Exec(self._driver, key, self._limits.output_bytes))

    async def close(self) -> None:
        """What runs goes on running."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._visitor.leave()

    def running(self, sandbox_id: str) -> int:
        return sum(key.startswith(f"{sandbox_id}.") for key in self._live)

    def active(self) -> dict[str, int]:
        """How many execs keep a sandbox awake, whether or not somebody is connected to them; each does while
        it is started, as a sandbox that freezes then would hold it up."""
        counted = {key for key, exec_ in self._live.items() if exec_.is_use} | self._starting
        return dict(sorted(Counter(key.partition(".")[0] for key in counted).items()))

    async def open(self, sandbox_id: str, opening: Open, *, is_startup: bool = False) -> tuple[Exec, bool]:
        """The exec, and whether it was started now. Raises ExecError."""
        # A task of its own: a caller that goes in the middle of a start must not leave half of it.
        return await asyncio.shield(self._spawn(self._open(sandbox_id, opening, is_startup=is_startup)))

    async def _open(self, sandbox_id: str, opening: Open, *, is_startup: bool) -> tuple[Exec, bool]:
        key = key_of(sandbox_id, opening.exec_id)
        async with self._visitor.lock(f"open {key}"):
            found = self._found(key)
            if found is not None:
                return found, False
            if opening.command is None:
                raise ExecError("no_exec", "there is no exec of this id in this sandbox")
            if self.running(sandbox_id) >= self._limits.sandbox_execs:
                raise ExecError("too_many_execs", f"{self._limits.sandbox_execs} execs run in this sandbox")
            self._starting.add(key)
            try:
                return await self._start(_spec(sandbox_id, opening), _start_of(opening, is_startup)), True
            finally:
                self._starting.discard(key)

    async def find(self, sandbox_id: str, exec_id: str) -> Exec:
        """Raises ExecError where it is not known."""
        return (await self.open(sandbox_id, Open(exec_id)))[0]

    def _found(self, key: str) -> Exec | None:
        """Raises ExecError where it is known and nothing can be said of it yet."""
        found = self._live.get(key)
        if found is None and self._driver.bundle(key).path.exists():
            found = Exec(self._driver, key, self._limits.output_bytes)
            if found.end is None:
                raise ExecError("unknown_state", "what became of this exec is being found out")
        return found

    async def _start(self, spec: ExecSpec, start: Start) -> Exec:
        if b"\0" in spec.script:
            raise ExecError("bad_command", "a command cannot hold NUL")
        await self._visitor.ready()
        for _ in range(FROZEN_TRIES):
            try:
                await self._start_once(spec, start)
            except SandboxFrozen:
                continue
            except (OSError, DriverError) as error:
                raise ExecError("not_started", str(error)) from error
            exec_ = Exec(self._driver, spec.key, self._limits.output_bytes)
            self._watch(exec_)
            return exec_
        raise ExecError("asleep", "the sandbox sleeps")

    async def _start_once(self, spec: ExecSpec, start: Start) -> None:
        try:
            await self._driver.create(spec)
            save(self._driver.bundle(spec.key).path, start)
            await self._driver.start(spec.key)
        except (OSError, DriverError):
            with contextlib.suppress(OSError, DriverError):
                await self._driver.destroy(spec.key)
            raise

    async def kill_left(self, sandbox_id: str, exec_id: str) -> None:
        """What an exec that has ended left running. Raises DriverError where it does not die."""
        key = key_of(sandbox_id, exec_id)
        if key not in self._live:
            await self._driver.kill(key)

    async def forget(self, sandbox_id: str, exec_id: str) -> None:
        """All of one that has ended: from now on its id would start anew."""
        exec_ = Exec(self._driver, key_of(sandbox_id, exec_id), self._limits.output_bytes)
        if exec_.end is not None:
            await self._visitor.slow(exec_.forget)

    def _watch(self, exec_: Exec) -> None:
        self._live[exec_.key] = exec_
        self._spawn(self._supervise(exec_))

    async def _supervise(self, exec_: Exec) -> None:
        try:
            while exec_.end is None:
                try:
                    await exec_.supervise()
                except (OSError, AgentError) as error:  # a full disk, for one; those who wait go on waiting
                    logger.warning("exec_not_supervised", exec=exec_.key, error=str(error))
                    await asyncio.sleep(AGAIN_S)
        finally:
            self._live.pop(exec_.key, None)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _sweep_for_ever(self) -> None:
        while True:
            with contextlib.suppress(OSError, AgentError):  # tried again; nothing depends on it
                await self._visitor.slow(self.sweep)
            await asyncio.sleep(SWEEP_S)
            with contextlib.suppress(OSError, AgentError):
                await self._recover_all()

    def sweep(self) -> None:
        """Remove what is old, and the groups of ended execs whose children have ended as well."""
        now_ms = time.time() * 1000
        for key in self._driver.found_keys():
            exec_ = Exec(self._driver, key, self._limits.output_bytes)
            if exec_.end is None:
                continue
            age_s = (now_ms - exec_.end.at_ms) / 1000
            if age_s > self._limits.keep_s + FORGET_S:
                exec_.forget()
            elif age_s > self._limits.keep_s:
                exec_.forget_output()
        for sandbox_id in {key.partition(".")[0] for key in self._driver.found_keys()}:
            for name in cgroup.children(self._visitor.groups, self._visitor.group(sandbox_id)):
                if name.startswith(EXEC) and self._is_over(f"{sandbox_id}.{name}"):
                    self._driver.remove_groups(f"{sandbox_id}.{name}")

    def _is_over(self, key: str) -> bool:
        directory = self._driver.bundle(key).path  # made before the group
        return not directory.exists() or load(directory, End) is not None


def key_of(sandbox_id: str, exec_id: str) -> str:
    return f"{sandbox_id}.{EXEC}{exec_id}"


def _start_of(opening: Open, is_startup: bool) -> Start:
    timeout_ms = opening.timeout_ms
    expires_ms = None if timeout_ms is None else round(time.time() * 1000) + timeout_ms
    return Start(expires_ms, is_startup)


def _spec(sandbox_id: str, opening: Open) -> ExecSpec:
    size = opening.terminal
    return ExecSpec(
        sandbox_id,
        EXEC + opening.exec_id,
        opening.command or b"",
        opening.environment,
        directory=opening.directory,
        terminal=None if size is None else Terminal(size.rows, size.columns),
        has_stdin=opening.has_stdin,
    )
