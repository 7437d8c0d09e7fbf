"""What all sandboxes of one agent share on its machine: file system, cgroups, launcher, network slots.

Opened by an agent's start, whatever an earlier agent left; `close` undoes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

from hostagent.config import Config
from hostagent.drivers import owner, seccomp, shim
from hostagent.drivers.bundle import Bundle, Claim
from hostagent.drivers.statefs import StateFs, close_state, open_state
from hostagent.drivers.tenants import TenantImages
from hostagent.errors import DriverError
from hostagent.linux import btrfs, cgroup
from hostagent.linux.launch import Launch
from hostagent.network import NetworkPool, NetworkSlot, resolvers

SANDBOX_ID = re.compile(r"[a-z0-9]{16}")
SHIM = "shim-"  # shim-<sandbox id>, shim-<sandbox id>.<run id>
LAUNCHER = "launcher"
THREADS = 16  # most of them wait: for a cgroup to become empty, for a file system
SWEEP_S = 60.0

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Host:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.run_dir = owner.RUN / config.instance
        self.slots: dict[str, NetworkSlot] = {}  # of the sandboxes that exist, as `claims`
        self.claims: dict[str, Claim] = {}
        self.sweeps: list[Callable[[], None]] = [
            self._sweep_images, self.remove_qgroups, lambda: btrfs.quota_mend(self.fs.root)
        ]  # fmt: skip
        self._stale_qgroups: set[int] = set()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def open(self) -> None:
        self.groups = cgroup.detect()
        # Nobody else's: code that changes namespaces keeps threads of its own.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="driver")
        async with contextlib.AsyncExitStack() as undo:
            undo.callback(self._threads.shutdown)
            self.engine = await self.slow(shim.engine, self.config, self.run_dir / "runtime")
            self.fs = await self.slow(self._prepare)
            self.annotations = await self.slow(seccomp.annotation)
            self.images = TenantImages(self.fs, is_tenant_image=self.config.is_tenant_image)
            self.resolv_conf = "".join(f"nameserver {address}\n" for address in resolvers(self.config))
            # Only crun needs fewer of them than there are, and others need them all.
            hierarchies = self.groups.sandbox_hierarchies() if self.engine.is_crun else []
            self.launch = Launch(self.fs.root, hierarchies, self.groups, self.group(LAUNCHER))
            self.launch.open()
            undo.callback(self.launch.close)
            self.pool = NetworkPool(self.config)
            await self._adopt()
            await self.pool.open()
            undo.pop_all()
        self._sweeper = asyncio.create_task(self._sweep_for_ever(), name="driver sweeper")

    def _prepare(self) -> StateFs:
        owner.claim(self.config.instance, self.config.state_dir)
        fs = open_state(self.config)
        (self.run_dir / "roots").mkdir(mode=0o711, parents=True, exist_ok=True)
        self.engine.runtime_root.mkdir(mode=0o700, exist_ok=True)
        cgroup.make(self.groups, self.group(LAUNCHER))
        self.has_swap_limit = cgroup.has_swap_limit(self.groups, self.group(LAUNCHER))
        self._favor_moves(True)
        return fs

    async def _adopt(self) -> None:
        """Take over what an earlier agent left: its sandboxes keep their network slots and images."""
        for sandbox_id in await self.slow(self.sandbox_ids):
            claim = self.bundle(sandbox_id).read_claim()
            if claim is not None:
                self.slots[sandbox_id] = self.pool.adopt(claim.slot_index)
                self.claims[sandbox_id] = claim

    def _favor_moves(self, is_favored: bool) -> None:
        if self.groups.unified is not None:
            with contextlib.suppress(OSError):  # an older kernel: slower starts
                cgroup.favor_moves(self.groups.unified, is_favored=is_favored)

    async def close(self, *, everything: bool) -> None:
        """With `everything`, all sandboxes are gone already."""
        self._sweeper.cancel()
        await self.pool.close(everything=everything)
        self.launch.close()
        if everything:
            await self.slow(self._undo_prepare)
        self._threads.shutdown()

    def _undo_prepare(self) -> None:
        cgroup.remove(self.groups, self.config.instance)
        close_state(self.config)
        shutil.rmtree(self.run_dir)
        try:
            self.run_dir.parent.rmdir()
        except OSError:
            return  # other instances of the agent use this machine
        self._favor_moves(False)

    def sandbox_ids(self) -> set[str]:
        """Of every sandbox of which anything exists."""
        groups = cgroup.children(self.groups, self.config.instance)
        names = {name.removeprefix(SHIM).partition(".")[0] for name in groups}
        for directory in (self.fs.sandboxes, self.fs.exits, self.engine.runtime_root):
            names |= {path.name for path in directory.iterdir()}
        return set(filter(SANDBOX_ID.fullmatch, names))

    def bundle(self, sandbox_id: str) -> Bundle:
        check_id(sandbox_id)
        return Bundle(self.fs, sandbox_id)

    def group(self, name: str) -> str:
        return f"{self.config.instance}/{name}"

    def lock(self, key: str) -> asyncio.Lock:
        """Who makes or removes the sandbox or run holds it."""
        return self._locks.setdefault(key, asyncio.Lock())

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            for sweep in self.sweeps:
                with contextlib.suppress(OSError):  # tried again; nothing depends on it
                    await self.slow(sweep)

    def _sweep_images(self) -> None:
        self.images.remove_unused([claim.lower for claim in list(self.claims.values())])

    def remove_qgroups(self, *subvolumes: int) -> None:
        """Those of destroyed subvolumes; what the kernel still refuses is tried again later."""
        self._stale_qgroups.update(subvolumes)
        self._stale_qgroups -= {i for i in list(self._stale_qgroups) if btrfs.qgroup_destroy(self.fs.root, i)}

    async def runtime(self, *arguments: str) -> tuple[int, str]:
        """Run the OCI runtime; answers its exit code and what it said."""
        try:
            code, output = await self.launch.run(self.engine.runtime_argv(*arguments))
        except OSError as error:
            raise DriverError(f"{self.engine.runtime.name} did not start: {error}") from error
        return code, output.decode(errors="replace").strip()[:2000]

    async def slow(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a blocking call in one of our threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **kwargs))


def check_id(sandbox_id: str) -> None:
    if not SANDBOX_ID.fullmatch(sandbox_id):
        raise DriverError(f"{sandbox_id!r} is not a sandbox id")
