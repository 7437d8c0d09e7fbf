"""The agent's end of the launcher: requests as coroutines, a new launcher when one died."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hostagent.linux import cgroup
from hostagent.linux.cgroup import Cgroups
from hostagent.linux.launcher import REQUEST_BYTES

# All that a program of ours sees of an environment.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
TIMEOUT_S = 30.0  # for what takes milliseconds
REAP_S = 2.0
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


class Launch:
    """Speaks to one launcher process. Use from one event loop."""

    def __init__(self, state_fs: Path, hierarchies: Sequence[Path], groups: Cgroups, name: str) -> None:
        """`hierarchies`: the version 1 cgroup mounts that what it starts may see; none: all that there is.
        `name`: the launcher's own group. What it starts for good leaves that of the cpu controller."""
        self._state_fs = state_fs
        self._hierarchies = hierarchies
        self._groups = groups
        self._name = name
        self._child: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._last = 0

    def open(self) -> None:
        """Start the launcher, where none is up. OSError where an earlier one cannot be got rid of: it may
        still serve what a dead agent asked for, and nobody could tell what has happened."""
        if self._socket is not None:
            return
        self._reap()
        cgroup.kill(self._groups, self._name, "cpu", REAP_S)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "hostagent.linux.launcher", str(theirs.fileno())]
            self._child = subprocess.Popen(
                [*command, str(self._state_fs), *map(str, self._hierarchies)],
                env={**ENVIRONMENT, "PYTHONPATH": str(_PACKAGE_ROOT)},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a stop of the agent's process group must not cut a launch short
            )
        # What it starts is neither stopped nor limited with the agent.
        for group in self._groups.paths(self._name):
            (group / "cgroup.procs").write_text(str(self._child.pid))
        ours.setblocking(False)
        self._socket = ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._read, ours)

    def close(self) -> None:
        """End the launcher; what it started lives on."""
        self._lost("closed")
        self._reap()

    def _reap(self) -> None:
        """The socket is closed, so it has ended or is about to; unless the kernel holds it."""
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(REAP_S)
            self._child = None

    async def root(
        self, *, lower: Path, upper: Path, target: Path, base: int, options: Sequence[str]
    ) -> None:
        await self._call(
            "root", lower=str(lower), upper=str(upper), target=str(target), base=base, options=options
        )

    async def detach(self, target: Path) -> None:
        await self._call("detach", target=str(target))

    async def spawn(
        self,
        argv: Sequence[str],
        fds: Sequence[int],
        *,
        env: dict[str, str] | None = None,
        cgroups: Sequence[Path] = (),
        is_gated: bool = False,
    ) -> int:
        """Start a program with `fds` as its 0, 1, ...; answers its pid. One that goes to `cgroups` must do
        nothing before it reads from its gate: one more descriptor, or with `is_gated` the last of `fds`."""
        return int(await self._spawn(argv, fds, env, cgroups, is_awaited=False, is_gated=is_gated))

    async def run(self, argv: Sequence[str]) -> tuple[int, bytes]:
        """Run a program to its end; answers its exit code (-n: signal n) and what it wrote."""
        output = os.memfd_create("output", os.MFD_CLOEXEC)
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            code = await self._spawn(argv, [null, output, output], None, (), is_awaited=True)
            return int(code), os.pread(output, 64 * 1024, 0)
        finally:
            os.close(output)
            os.close(null)

    async def _spawn(
        self,
        argv: Sequence[str],
        fds: Sequence[int],
        env: dict[str, str] | None,
        cgroups: Sequence[Path],
        *,
        is_awaited: bool,
        is_gated: bool = False,
    ) -> Any:
        values = {
            "argv": list(argv),
            "env": {**ENVIRONMENT, **(env or {})},
            "cgroups": list(map(str, cgroups)),
        }
        return await self._call("spawn", fds=fds, is_awaited=is_awaited, is_gated=is_gated, **values)

    async def _call(self, call: str, fds: Sequence[int] = (), **values: Any) -> Any:
        self._last += 1
        number = self._last
        data = json.dumps({"id": number, "call": call, **values}).encode()
        if len(data) > REQUEST_BYTES:
            raise OSError(errno.E2BIG, f"launcher: a {call} request of {len(data)} bytes")
        await self._send(data, fds)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await answer
        except TimeoutError as error:
            if self._child is not None:
                self._child.kill()  # it serves one at a time: everybody else waits for this one too
            self._lost("was stuck")
            raise OSError(errno.ETIMEDOUT, f"launcher: {call} took longer than {TIMEOUT_S:.0f} s") from error
        finally:
            self._waiting.pop(number, None)

    async def _send(self, data: bytes, fds: Sequence[int]) -> None:
        while True:
            self.open()
            try:
                socket.send_fds(self._socket, [data], list(fds))  # type: ignore[arg-type]
            except (
                BlockingIOError
            ):  # hundreds of requests wait; seldom enough for a pause instead of add_writer
                await asyncio.sleep(0.005)
            except (BrokenPipeError, ConnectionResetError):
                self._lost("died")  # before it read this: the next one gets it
            else:
                return

    def _read(self, ours: socket.socket) -> None:
        try:
            while data := ours.recv(REQUEST_BYTES):
                self._answered(json.loads(data))
        except BlockingIOError:
            return
        except ConnectionResetError:
            pass
        self._lost("died")

    def _answered(self, message: dict[str, Any]) -> None:
        future = self._waiting.get(message["id"])
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(OSError(message["errno"], message["error"]))
        else:
            future.set_result(message["result"])

    def _lost(self, what: str) -> None:
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        self._socket = None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError(f"the launcher {what}"))
