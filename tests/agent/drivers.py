"""Drivers for tests of the agent, named by what they do wrong.

`ScriptDriver` does nothing wrong: it runs scripts as plain processes under the real conmon, so spool, exit
file and survival are the real ones, without a sandbox.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hostagent.drivers.base import Exit, Found, Phase, SandboxSpec
from hostagent.errors import DriverError
from hostagent.linux import notify

RUNTIME = Path(__file__).parent / "conmon" / "runtime.sh"


class NoRuns:
    """Runs of a driver whose sandboxes hold none: there is nothing to end."""

    async def kill(self, key: str) -> None:
        pass

    async def destroy(self, key: str) -> None:
        pass


class ScriptDriver:
    """Keeps everything of a sandbox below `root/<id>/`, as the real driver does."""

    isolation = "container"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runs = NoRuns()
        self.created: list[str] = []  # by this life of the driver
        self.edit_exit: Callable[[Exit], Exit] = lambda end: end

    async def open(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)

    async def close(self, *, everything: bool) -> None:
        if everything:
            for found in await self.find():
                await self.destroy(found.sandbox_id)

    async def images(self) -> list[str]:
        return ["standard"]

    async def create(self, spec: SandboxSpec) -> dict[str, int]:
        bundle = self.root / spec.sandbox_id
        for name in ("spool", "exit"):
            (bundle / name).mkdir(parents=True)
        exports = [f"export {name}={shlex.quote(value)}\n" for name, value in spec.environment.items()]
        (bundle / "environment").write_text("".join(exports))
        (bundle / "script").write_bytes(spec.script)
        os.mkfifo(bundle / "gate")
        await self._spawn_conmon(spec.sandbox_id, bundle)
        (bundle / "created").touch()
        self.created.append(spec.sandbox_id)
        return {"restored": 1, "created": 2}

    async def _spawn_conmon(self, sandbox_id: str, bundle: Path) -> None:
        reader, writer = os.pipe()
        nothing = asyncio.subprocess.DEVNULL
        conmon = await asyncio.create_subprocess_exec(
            "conmon", "-c", sandbox_id, "-u", sandbox_id, "-n", sandbox_id, "-b", bundle, "-r", RUNTIME,
            "-p", bundle / "pid", "--exit-dir", bundle / "exit", "-l", f"k8s-file:{bundle / 'spool' / 'log'}",
            "--full-attach", "--no-sync-log", stdin=nothing, stdout=nothing, stderr=nothing,
            env=os.environ | {"_OCI_SYNCPIPE": str(writer)}, pass_fds=[writer],
        )  # fmt: skip
        os.close(writer)
        # conmon says the pid once it watches it: a process that ended earlier would have no exit code.
        answer = await asyncio.to_thread(os.read, reader, 4096)
        os.close(reader)
        if await conmon.wait() or b'"pid"' not in answer:
            raise DriverError(f"conmon failed: {answer!r}")

    async def start(self, sandbox_id: str) -> None:
        if self._phase(sandbox_id) is not Phase.CREATED:
            raise DriverError("started before")
        fd = os.open(self.root / sandbox_id / "gate", os.O_RDWR)  # never blocks
        os.write(fd, b"go\n")
        # Open until it was read: the last close would throw the line away.
        with notify.shared().subscribe(self.root / sandbox_id, notify.CREATE) as changes:
            while self._phase(sandbox_id) is Phase.CREATED:
                await changes.wait()
        os.close(fd)

    def spool_path(self, sandbox_id: str) -> Path:
        return self.root / sandbox_id / "spool" / "log"

    async def wait(self, sandbox_id: str) -> Exit:
        path = self.root / sandbox_id / "exit" / sandbox_id
        with notify.shared().subscribe(path.parent, notify.MOVED_TO) as changes:
            while not path.exists():
                await changes.wait()
        at_ms = path.stat().st_mtime_ns // 1_000_000
        return self.edit_exit(Exit(int(path.read_text()), is_oom=False, is_disk_full=False, at_ms=at_ms))

    async def signal(self, sandbox_id: str, signum: signal.Signals) -> None:
        with suppress(FileNotFoundError):
            pid = int((self.root / sandbox_id / "pid").read_text())
            for send in (os.killpg, os.kill):  # it may not lead a group of its own yet
                with suppress(ProcessLookupError):
                    send(pid, signum)

    async def kill(self, sandbox_id: str) -> None:
        await self.signal(sandbox_id, signal.SIGKILL)

    async def destroy(self, sandbox_id: str) -> None:
        await self.kill(sandbox_id)
        bundle = self.root / sandbox_id
        if (bundle / "pid").exists():
            await self.wait(sandbox_id)  # conmon writes into the bundle until then
            (bundle / "pid").unlink()  # first: what follows may be cut short by a kill
        shutil.rmtree(bundle, ignore_errors=True)

    async def find(self) -> list[Found]:
        return [Found(path.name, self._phase(path.name)) for path in self.root.iterdir()]

    def _phase(self, sandbox_id: str) -> Phase:
        bundle = self.root / sandbox_id
        if (bundle / "exit" / sandbox_id).exists():
            return Phase.EXITED
        if (bundle / "started").exists():
            return Phase.RUNNING
        return Phase.CREATED if (bundle / "created").exists() else Phase.BUILDING


class SlowDriver(ScriptDriver):
    """`create` takes until `release` is set."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.entered = asyncio.Event()
        self.release = asyncio.Event()

    async def create(self, spec: SandboxSpec) -> dict[str, int]:
        self.entered.set()
        await self.release.wait()
        return await super().create(spec)


class FailsToCreateDriver(ScriptDriver):
    """Has no such image, ever."""

    async def create(self, spec: SandboxSpec) -> dict[str, int]:
        raise DriverError(f"no image {spec.image} in /secret/host/path", "build it")


class FailsToStartDriver(ScriptDriver):
    """Builds sandboxes that do not start."""

    async def start(self, sandbox_id: str) -> None:
        raise DriverError("crun start failed: exec format error\nsecond line")


class DeafDriver(ScriptDriver):
    """Its signals do not arrive, and asking for one hangs: only `kill` works."""

    async def signal(self, sandbox_id: str, signum: signal.Signals) -> None:
        if signum is not signal.SIGKILL:
            await asyncio.Event().wait()
        await super().signal(sandbox_id, signum)


class StickyDriver(ScriptDriver):
    """Its sandboxes can be removed at the third try only."""

    tries = 0

    async def destroy(self, sandbox_id: str) -> None:
        self.tries += 1
        if self.tries < 3:
            raise DriverError("device or resource busy")
        await super().destroy(sandbox_id)
