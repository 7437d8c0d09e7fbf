"""Sandboxes from an OCI runtime (crun by default) and conmon, on btrfs and overlay.

What a sandbox is made of, in the order it is made: a network slot, a claim on disk (`bundle`), two
subvolumes, a cgroup for its conmon, an overlay mount in the launcher's private namespace, the container.
`destroy` removes all of it from any state: it is the undo of a `create` that failed half-way as well as of
one whose agent was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal as signals
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from weakref import WeakValueDictionary

from hostagent.config import Config
from hostagent.drivers import seccomp, shim
from hostagent.drivers import spec as oci
from hostagent.drivers.base import Exit, Found, Phase, SandboxSpec
from hostagent.drivers.bundle import Bundle, Claim
from hostagent.drivers.statefs import StateFs, close_state, open_state
from hostagent.drivers.stopwatch import Stopwatch
from hostagent.drivers.tenants import TenantImages
from hostagent.errors import DriverError, SandboxLost
from hostagent.linux import btrfs, cgroup, notify, process
from hostagent.linux.launch import Launch
from hostagent.network import NetworkPool, NetworkSlot, resolvers
from hostagent.waiting import first

SANDBOX_ID = re.compile(r"[a-z0-9]{16}")
IMAGE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
ISOLATION = {"runsc": "gvisor", "kata-runtime": "microvm", "krun": "microvm"}
SHIM = "shim-"
LAUNCHER = "launcher"
THREADS = 16  # most of them wait: for a cgroup to become empty, for a file system
SWEEP_S = 60.0
# No fsync reaches the disk: the upper layer of an ephemeral sandbox need not survive the machine, and package
# managers spend most of their time in fsync.
EPHEMERAL = ("volatile",)

_P = ParamSpec("_P")
_T = TypeVar("_T")


class OciDriver:
    """See `hostagent.drivers.base.Driver`."""

    def __init__(self, config: Config, *, edit_spec: Callable[[dict[str, Any]], None] | None = None) -> None:
        """`edit_spec` changes each config.json before its use: for tests that weaken a sandbox."""
        self.isolation = ISOLATION.get(Path(config.runtime).name, "container")
        self._config = config
        self._edit_spec = edit_spec
        self._run_dir = Path("/run/mags") / config.instance
        self._slots: dict[str, NetworkSlot] = {}
        self._lowers: dict[str, Path] = {}
        self._starting: set[str] = set()
        self._stale_qgroups: set[int] = set()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    # --- The host ---

    async def open(self) -> None:
        self._groups = cgroup.detect()
        # Nobody else's: code that changes namespaces keeps threads of its own.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="driver")
        async with contextlib.AsyncExitStack() as undo:
            undo.callback(self._threads.shutdown)
            self._engine = await self._slow(shim.engine, self._config, self._run_dir / "runtime")
            self._fs = await self._slow(self._prepare)
            self._annotations = await self._slow(seccomp.annotation)
            self._images = TenantImages(self._fs, is_tenant_image=self._config.is_tenant_image)
            self._resolv_conf = "".join(f"nameserver {address}\n" for address in resolvers(self._config))
            groups = self._groups.paths(self._group(LAUNCHER))
            # Only crun needs fewer of them than there are, and others need them all.
            hierarchies = self._groups.sandbox_hierarchies() if self._engine.is_crun else []
            self._launch = Launch(self._fs.root, hierarchies, groups)
            self._launch.open()
            undo.callback(self._launch.close)
            self._pool = NetworkPool(self._config)
            await self._adopt()
            await self._pool.open()
            undo.pop_all()
        self._sweeper = asyncio.create_task(self._sweep_for_ever(), name="driver sweeper")

    def _prepare(self) -> StateFs:
        fs = open_state(self._config)
        (self._run_dir / "roots").mkdir(mode=0o711, parents=True, exist_ok=True)
        self._engine.runtime_root.mkdir(mode=0o700, exist_ok=True)
        cgroup.make(self._groups, self._group(LAUNCHER))
        self._has_swap_limit = cgroup.has_swap_limit(self._groups, self._group(LAUNCHER))
        self._favor_moves(True)
        return fs

    async def _adopt(self) -> None:
        """Take over what an earlier agent left: its sandboxes keep their network slots and images."""
        for found in await self.find():
            claim = self._bundle(found.sandbox_id).read_claim()
            if claim is not None:
                self._slots[found.sandbox_id] = self._pool.adopt(claim.slot_index)
                self._lowers[found.sandbox_id] = claim.lower

    def _favor_moves(self, is_favored: bool) -> None:
        if self._groups.unified is not None:
            with contextlib.suppress(OSError):  # an older kernel: slower starts
                cgroup.favor_moves(self._groups.unified, is_favored=is_favored)

    async def close(self, *, everything: bool) -> None:
        self._sweeper.cancel()
        if everything:
            await asyncio.gather(*(self.destroy(found.sandbox_id) for found in await self.find()))
        await self._pool.close(everything=everything)
        self._launch.close()
        if everything:
            await self._slow(self._undo_prepare)
        self._threads.shutdown()

    def _undo_prepare(self) -> None:
        cgroup.remove(self._groups, self._config.instance)
        close_state(self._config)
        shutil.rmtree(self._run_dir)
        try:
            self._run_dir.parent.rmdir()
        except OSError:
            return  # other instances of the agent use this machine
        self._favor_moves(False)

    async def images(self) -> list[str]:
        def names() -> list[str]:
            return sorted(path.name for path in self._fs.images.iterdir() if btrfs.is_subvolume(path))

        return [name for name in await self._slow(names) if IMAGE.fullmatch(name)]

    async def find(self) -> list[Found]:
        return await self._slow(lambda: [Found(i, self._phase(self._bundle(i))) for i in sorted(self._ids())])

    def _phase(self, bundle: Bundle) -> Phase:
        phase = bundle.phase()
        return Phase.CREATED if phase is Phase.RUNNING and self._still_waits(bundle) else phase

    def _still_waits(self, bundle: Bundle) -> bool:
        """Whether the container's init waits although a start was asked for: an agent died between its note
        of that and the runtime's start. Not while a start of ours is under way."""
        sandbox_id = bundle.sandbox_id
        return sandbox_id not in self._starting and self._engine.has_waiter(sandbox_id, bundle.init_pid())

    def _ids(self) -> set[str]:
        names = {name.removeprefix(SHIM) for name in cgroup.children(self._groups, self._config.instance)}
        for directory in (self._fs.sandboxes, self._fs.exits, self._engine.runtime_root):
            names |= {path.name for path in directory.iterdir()}
        return set(filter(SANDBOX_ID.fullmatch, names))

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            with contextlib.suppress(OSError):  # tried again; nothing depends on it
                await self._slow(self._images.remove_unused, list(self._lowers.values()))
                await self._slow(self._remove_qgroups)

    # --- A sandbox ---

    async def create(self, spec: SandboxSpec) -> dict[str, int]:
        _check_id(spec.sandbox_id)
        # A task of its own: a caller that is cancelled must not leave a half-built sandbox behind.
        return await asyncio.shield(asyncio.create_task(self._create_or_undo(spec)))

    async def _create_or_undo(self, spec: SandboxSpec) -> dict[str, int]:
        async with self._lock(spec.sandbox_id):
            if await self._slow(self._exists, spec.sandbox_id):
                raise DriverError(f"sandbox {spec.sandbox_id} exists already", "destroy it first")
            try:
                return await self._create(spec)
            except Exception as error:
                with contextlib.suppress(OSError, DriverError):  # found again later; the first error is told
                    await self._destroy(spec.sandbox_id)
                if isinstance(error, OSError):
                    raise DriverError(f"cannot build sandbox {spec.sandbox_id}: {error}") from error
                raise

    def _exists(self, sandbox_id: str) -> bool:
        return self._bundle(sandbox_id).path.exists() or (self._engine.runtime_root / sandbox_id).exists()

    async def _create(self, spec: SandboxSpec) -> dict[str, int]:
        watch = Stopwatch()
        bundle = self._bundle(spec.sandbox_id)
        lower = await self._slow(self._images.lower, spec.tenant, spec.image)
        self._lowers[spec.sandbox_id] = lower
        slot = self._slots[spec.sandbox_id] = await self._pool.take()
        place = self._place(bundle, lower, slot)
        await self._slow(self._write, spec, bundle, Claim(slot.index, lower), place, slot)
        await self._launch.root(
            lower=lower, upper=bundle.upper, target=place.root, base=place.id_base, options=EPHEMERAL
        )
        watch.lap("restored")
        shim_group = self._groups.path("cpu", self._group(SHIM + spec.sandbox_id))
        await shim.create(self._launch, self._engine, bundle, shim_group)
        await self._launch.detach(place.root)  # the container has what it needs of it
        await self._slow(self._finish, bundle)
        watch.lap("created")
        return watch.laps

    def _place(self, bundle: Bundle, lower: Path, slot: NetworkSlot) -> oci.Place:
        has_bash = any(os.path.lexists(lower / path) for path in ("bin/bash", "usr/bin/bash"))
        return oci.Place(
            root=self._run_dir / "roots" / str(slot.index),
            bundle=bundle.path,
            netns_path=slot.netns_path,
            cgroup=f"/{self._group(bundle.sandbox_id)}",
            id_base=self._config.id_base + slot.index * oci.IDS_PER_SANDBOX,
            shell="/bin/bash" if has_bash else "/bin/sh",
            annotations=self._annotations,
            has_swap_limit=self._has_swap_limit,
        )

    def _write(
        self, spec: SandboxSpec, bundle: Bundle, claim: Claim, place: oci.Place, slot: NetworkSlot
    ) -> None:
        config = oci.config_json(self._config, spec, place)
        if self._edit_spec is not None:
            self._edit_spec(config)
        bundle.write_claim(claim)
        bundle.make_subvolumes(spec.disk_gb)
        bundle.write(
            spec, config, oci.hosts(spec.sandbox_id, slot.address4, slot.address6), self._resolv_conf
        )
        self._groups.path("cpu", self._group(SHIM + spec.sandbox_id)).mkdir(exist_ok=True)
        for directory in (place.root, *(Path(f"{place.root}.layers") / name for name in ("lower", "upper"))):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)

    def _finish(self, bundle: Bundle) -> None:
        # Not earlier: the runtime started below conmon, and was not to be slowed down.
        cgroup.limit_cpu(self._groups, self._group(SHIM + bundle.sandbox_id), self._config.shim_cpu_percent)
        bundle.mark_created()

    async def start(self, sandbox_id: str) -> None:
        bundle = self._bundle(sandbox_id)
        async with self._lock(sandbox_id):
            if await self._slow(self._open_gate, bundle):
                return
            self._starting.add(sandbox_id)
            try:
                code, output = await self._runtime("start", sandbox_id)
            finally:
                self._starting.discard(sandbox_id)
        if code != 0:
            raise DriverError(f"{self._engine.runtime.name} start failed: {output}")

    def _open_gate(self, bundle: Bundle) -> bool:
        if bundle.phase() is not Phase.RUNNING or not self._still_waits(bundle):
            bundle.mark_started()
        return self._engine.open_gate(bundle.sandbox_id)

    def spool_path(self, sandbox_id: str) -> Path:
        return self._bundle(sandbox_id).spool

    async def wait(self, sandbox_id: str) -> Exit:
        exit_file = self._bundle(sandbox_id).exit_file
        shims = await self._slow(cgroup.pids, self._groups, self._group(SHIM + sandbox_id), "cpu")
        with (
            notify.shared().subscribe(self._fs.exits, notify.MOVED_TO) as changes,
            process.ends(shims) as ended,
        ):
            while True:
                is_alone = ended.is_set()  # asked before the look at the file: conmon writes it, then ends
                if exit_file.exists():
                    return await self._slow(self._read_exit, sandbox_id)
                if is_alone:
                    raise SandboxLost(f"the shim of sandbox {sandbox_id} is gone and left no exit code")
                await first(changes.woken, ended)
                changes.take()

    def _read_exit(self, sandbox_id: str) -> Exit:
        bundle = self._bundle(sandbox_id)
        code = int(bundle.exit_file.read_text())
        if not 0 <= code <= 255:  # conmon's -1: it could not tell
            raise SandboxLost(f"the shim of sandbox {sandbox_id} does not know its exit code")
        return Exit(
            exit_code=code,
            is_oom=cgroup.oom_kills(self._groups, self._group(sandbox_id)) > 0,
            is_disk_full=bundle.is_disk_full(),
            at_ms=bundle.exit_file.stat().st_mtime_ns // 1_000_000,
        )

    async def signal(self, sandbox_id: str, signum: signals.Signals) -> None:
        await self._slow(self._signal, sandbox_id, signum)

    def _signal(self, sandbox_id: str, signum: signals.Signals) -> None:
        """To the sandbox's init, which passes it on to the script's process group."""
        pid = self._bundle(sandbox_id).init_pid()
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError), process.pidfd(pid) as fd:
            # Looked up after opening: a number that was given away again is in another cgroup.
            if pid in cgroup.pids(self._groups, self._group(sandbox_id)):
                signals.pidfd_send_signal(fd, signum)

    async def kill(self, sandbox_id: str) -> None:
        _check_id(sandbox_id)
        try:
            await self._slow(cgroup.kill, self._groups, self._group(sandbox_id))
        except OSError as error:
            raise DriverError(f"cannot kill sandbox {sandbox_id}: {error}") from error

    async def destroy(self, sandbox_id: str) -> None:
        _check_id(sandbox_id)
        await asyncio.shield(asyncio.create_task(self._destroy_locked(sandbox_id)))

    async def _destroy_locked(self, sandbox_id: str) -> None:
        async with self._lock(sandbox_id):
            try:
                await self._destroy(sandbox_id)
            except OSError as error:
                raise DriverError(
                    f"cannot remove sandbox {sandbox_id}: {error}", "destroy it again"
                ) from error

    async def _destroy(self, sandbox_id: str) -> None:
        bundle = self._bundle(sandbox_id)
        await self._slow(self._kill_all, sandbox_id)
        if (self._engine.runtime_root / sandbox_id).exists() and not self._engine.is_state_a_directory:
            code, output = await self._runtime("delete", "--force", sandbox_id)
            if code != 0:
                raise DriverError(f"{self._engine.runtime.name} delete failed: {output}")
        slot = self._slots.get(sandbox_id)
        if slot is not None:
            await self._launch.detach(self._run_dir / "roots" / str(slot.index))
        await self._slow(self._remove, bundle)
        self._lowers.pop(sandbox_id, None)
        if slot is not None:
            await self._pool.give(slot)
            del self._slots[sandbox_id]

    def _kill_all(self, sandbox_id: str) -> None:
        # First the one that could still add processes to the other.
        cgroup.kill(self._groups, self._group(SHIM + sandbox_id), "cpu")
        cgroup.kill(self._groups, self._group(sandbox_id))

    def _remove(self, bundle: Bundle) -> None:
        for name in (SHIM + bundle.sandbox_id, bundle.sandbox_id):
            cgroup.remove(self._groups, self._group(name))
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._engine.runtime_root / bundle.sandbox_id)
        self._stale_qgroups.update(bundle.remove())
        self._remove_qgroups()

    def _remove_qgroups(self) -> None:
        self._stale_qgroups -= {
            i for i in list(self._stale_qgroups) if btrfs.qgroup_destroy(self._fs.root, i)
        }

    # --- Small things ---

    def _bundle(self, sandbox_id: str) -> Bundle:
        _check_id(sandbox_id)
        return Bundle(self._fs, sandbox_id)

    def _group(self, name: str) -> str:
        return f"{self._config.instance}/{name}"

    def _lock(self, sandbox_id: str) -> asyncio.Lock:
        return self._locks.setdefault(sandbox_id, asyncio.Lock())

    async def _runtime(self, *arguments: str) -> tuple[int, str]:
        try:
            code, output = await self._launch.run(self._engine.runtime_argv(*arguments))
        except OSError as error:
            raise DriverError(f"{self._engine.runtime.name} did not start: {error}") from error
        return code, output.decode(errors="replace").strip()[:2000]

    async def _slow(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a blocking call in one of our threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **kwargs))


def _check_id(sandbox_id: str) -> None:
    if not SANDBOX_ID.fullmatch(sandbox_id):
        raise DriverError(f"{sandbox_id!r} is not a sandbox id")
