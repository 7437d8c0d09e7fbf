"""Sandboxes from an OCI runtime (crun by default) and conmon, on btrfs and overlay.

What a sandbox is made of, in the order it is made: a network slot, a claim on disk (`bundle`), two
subvolumes, a cgroup for its conmon, an overlay mount in the launcher's private namespace, the container.
`destroy` removes all of it from any state: it is the undo of a `create` that failed half-way as well as of
one whose agent was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal as signals
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hostagent.config import Config
from hostagent.drivers import builds, ends, shim
from hostagent.drivers import spec as oci
from hostagent.drivers.base import Exit, Found, Phase, SandboxSpec
from hostagent.drivers.bundle import Bundle, Claim
from hostagent.drivers.ends import Watched
from hostagent.drivers.host import SHIM, Host, check_id
from hostagent.drivers.runs import OciRuns
from hostagent.drivers.stopwatch import Stopwatch
from hostagent.errors import DriverError
from hostagent.linux import cgroup
from hostagent.network import NetworkSlot

ISOLATION = {"runsc": "gvisor", "kata-runtime": "microvm", "krun": "microvm"}
# No fsync reaches the disk: the upper layer of an ephemeral sandbox need not survive the machine, and package
# managers spend most of their time in fsync.
EPHEMERAL = ("volatile",)

_T = TypeVar("_T")


class OciDriver:
    """See `hostagent.drivers.base.Driver`."""

    def __init__(self, config: Config, *, edit_spec: Callable[[dict[str, Any]], None] | None = None) -> None:
        """`edit_spec` changes each config.json before its use: for tests that weaken a sandbox."""
        self.isolation = ISOLATION.get(Path(config.runtime).name, "container")
        self.host = Host(config)
        self._edit_spec = edit_spec
        self._starting: set[str] = set()
        self.runs = OciRuns(self.host)
        self.host.sweeps.append(self.runs.sweep)

    async def open(self) -> None:
        await self.host.open()
        await self.host.slow(self.runs.adopt)

    async def close(self, *, everything: bool) -> None:
        if everything:
            await asyncio.gather(*(self.destroy(found.sandbox_id) for found in await self.find()))
        await self.host.close(everything=everything)

    async def images(self) -> list[str]:
        return await self.host.slow(builds.present, self.host.fs.images)

    async def find(self) -> list[Found]:
        return await self.host.slow(lambda: [self._found(i) for i in sorted(self.host.sandbox_ids())])

    def _found(self, sandbox_id: str) -> Found:
        bundle = self.host.bundle(sandbox_id)
        claim = bundle.read_claim()
        return Found(
            sandbox_id,
            self._phase(bundle),
            is_held=claim is not None and claim.is_held,
            is_frozen=cgroup.is_frozen(self.host.groups, self.host.group(sandbox_id)),
            runs=tuple(self.runs.found(sandbox_id)),
        )

    def _phase(self, bundle: Bundle) -> Phase:
        phase = bundle.phase()
        return Phase.CREATED if phase is Phase.RUNNING and self._still_waits(bundle) else phase

    def _still_waits(self, bundle: Bundle) -> bool:
        """Whether the container's init waits although a start was asked for: an agent died between its note
        of that and the runtime's start. Not while a start of ours is under way."""
        sandbox_id = bundle.sandbox_id
        return sandbox_id not in self._starting and self.host.engine.has_waiter(sandbox_id, bundle.pid())

    async def create(self, spec: SandboxSpec) -> dict[str, int]:
        check_id(spec.sandbox_id)
        # A task of its own: a caller that is cancelled must not leave a half-built sandbox behind.
        return await asyncio.shield(asyncio.create_task(self._create_or_undo(spec)))

    async def _create_or_undo(self, spec: SandboxSpec) -> dict[str, int]:
        async with self.host.lock(spec.sandbox_id):
            if await self.host.slow(self._exists, spec.sandbox_id):
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
        return (
            self.host.bundle(sandbox_id).path.exists()
            or (self.host.engine.runtime_root / sandbox_id).exists()
        )

    async def _create(self, spec: SandboxSpec) -> dict[str, int]:
        watch = Stopwatch()
        bundle = self.host.bundle(spec.sandbox_id)
        lower = await self.host.slow(self.host.images.lower, spec.tenant, spec.image, spec.image_build)
        slot = self.host.slots[spec.sandbox_id] = await self.host.pool.take()
        claim = Claim(slot.index, lower, spec.upper, spec.is_held)
        self._register(spec.sandbox_id, claim)
        place = self._place(bundle, lower, slot)
        await self.host.slow(self._write, spec, bundle, claim, place, slot)
        await self.host.launch.root(
            lower=lower,
            upper=spec.upper or bundle.upper,
            target=place.root,
            base=place.id_base,
            options=() if spec.upper else EPHEMERAL,
        )
        watch.lap("restored")
        shim_group = self.host.groups.path("cpu", self.host.group(SHIM + spec.sandbox_id))
        await shim.create(self.host.launch, self.host.engine, bundle, shim_group)
        await self.host.launch.detach(place.root)  # the container has what it needs of it
        await self.host.slow(self._finish, bundle)
        watch.lap("created")
        return watch.laps

    def _register(self, sandbox_id: str, claim: Claim) -> None:
        users = [key for key, other in self.host.claims.items() if claim.upper and other.upper == claim.upper]
        if users:  # the kernel would let two overlays destroy each other's files
            raise DriverError(
                f"{claim.upper} is the writable layer of sandbox {users[0]}", "destroy it first"
            )
        self.host.claims[sandbox_id] = claim

    def _place(self, bundle: Bundle, lower: Path, slot: NetworkSlot) -> oci.Place:
        return oci.Place(
            root=self.host.run_dir / "roots" / str(slot.index),
            bundle=bundle.path,
            netns_path=slot.netns_path,
            cgroup=f"/{self.host.group(bundle.sandbox_id)}",
            id_base=self.host.config.id_base + slot.index * oci.IDS_PER_SANDBOX,
            shell=oci.shell(lower),
            annotations=self.host.annotations,
            has_swap_limit=self.host.has_swap_limit,
        )

    def _write(
        self, spec: SandboxSpec, bundle: Bundle, claim: Claim, place: oci.Place, slot: NetworkSlot
    ) -> None:
        config = oci.config_json(self.host.config, spec, place)
        if self._edit_spec is not None:
            self._edit_spec(config)
        bundle.write_claim(claim)
        bundle.make_subvolumes(spec)
        bundle.write(
            spec, config, oci.hosts(spec.sandbox_id, slot.address4, slot.address6), self.host.resolv_conf
        )
        self.host.groups.path("cpu", self.host.group(SHIM + spec.sandbox_id)).mkdir(exist_ok=True)
        for directory in (place.root, *(Path(f"{place.root}.layers") / name for name in ("lower", "upper"))):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)

    def _finish(self, bundle: Bundle) -> None:
        # Not earlier: the runtime started below conmon, and was not to be slowed down.
        cgroup.limit_cpu(
            self.host.groups, self.host.group(SHIM + bundle.sandbox_id), self.host.config.shim_cpu_percent
        )
        bundle.mark_created()

    async def start(self, sandbox_id: str) -> None:
        bundle = self.host.bundle(sandbox_id)
        async with self.host.lock(sandbox_id):
            if await self.host.slow(self._open_gate, bundle):
                return
            self._starting.add(sandbox_id)
            try:
                code, output = await self.host.runtime("start", sandbox_id)
            finally:
                self._starting.discard(sandbox_id)
        if code != 0:
            raise DriverError(f"{self.host.engine.runtime.name} start failed: {output}")

    def _open_gate(self, bundle: Bundle) -> bool:
        if bundle.phase() is not Phase.RUNNING or not self._still_waits(bundle):
            bundle.mark_started()
        return self.host.engine.open_gate(bundle.sandbox_id)

    def spool_path(self, sandbox_id: str) -> Path:
        return self.host.bundle(sandbox_id).spool

    async def wait(self, sandbox_id: str) -> Exit:
        code = await ends.wait(self.host, self._watched(sandbox_id))
        return await self.host.slow(self._end, sandbox_id, code)

    def _end(self, sandbox_id: str, code: int) -> Exit:
        watched = self._watched(sandbox_id)
        is_oom = cgroup.oom_kills(self.host.groups, watched.group) > 0
        is_disk_full = self.host.bundle(sandbox_id).is_disk_full()
        return ends.end(watched, code, is_oom=is_oom, is_disk_full=is_disk_full)

    async def signal(self, sandbox_id: str, signum: signals.Signals) -> None:
        await self.host.slow(ends.send, self.host, self._watched(sandbox_id), signum)

    async def freeze(self, sandbox_id: str) -> None:
        await self._group_call(cgroup.freeze, sandbox_id)

    async def thaw(self, sandbox_id: str) -> None:
        await self._group_call(cgroup.thaw, sandbox_id)

    async def is_frozen(self, sandbox_id: str) -> bool:
        return await self._group_call(cgroup.is_frozen, sandbox_id)

    async def cpu_ms(self, sandbox_id: str) -> int:
        return await self._group_call(cgroup.cpu_ms, sandbox_id)

    async def kill(self, sandbox_id: str) -> None:
        await self._group_call(cgroup.kill, sandbox_id)

    async def _group_call(self, call: Callable[[cgroup.Cgroups, str], _T], sandbox_id: str) -> _T:
        check_id(sandbox_id)
        try:
            return await self.host.slow(call, self.host.groups, self.host.group(sandbox_id))
        except OSError as error:
            raise DriverError(f"cannot {call.__name__} sandbox {sandbox_id}: {error}") from error

    async def destroy(self, sandbox_id: str) -> None:
        check_id(sandbox_id)
        await asyncio.shield(asyncio.create_task(self._destroy_locked(sandbox_id)))

    async def _destroy_locked(self, sandbox_id: str) -> None:
        async with self.host.lock(sandbox_id):
            try:
                await self._destroy(sandbox_id)
            except OSError as error:
                raise DriverError(
                    f"cannot remove sandbox {sandbox_id}: {error}", "destroy it again"
                ) from error

    async def _destroy(self, sandbox_id: str) -> None:
        bundle = self.host.bundle(sandbox_id)
        await self.host.slow(self._kill_all, sandbox_id)
        if (
            self.host.engine.runtime_root / sandbox_id
        ).exists() and not self.host.engine.is_state_a_directory:
            code, output = await self.host.runtime("delete", "--force", sandbox_id)
            if code != 0:
                raise DriverError(f"{self.host.engine.runtime.name} delete failed: {output}")
        slot = self.host.slots.get(sandbox_id)
        if slot is not None:
            await self.host.launch.detach(self.host.run_dir / "roots" / str(slot.index))
        await self.host.slow(self._remove, bundle)
        self.host.claims.pop(sandbox_id, None)
        if slot is not None:
            await self.host.pool.give(slot)
            del self.host.slots[sandbox_id]

    def _kill_all(self, sandbox_id: str) -> None:
        # First those that could still add processes to the other.
        for name in self._shims(sandbox_id):
            cgroup.kill(self.host.groups, self.host.group(name), "cpu")
        cgroup.kill(self.host.groups, self.host.group(sandbox_id))

    def _remove(self, bundle: Bundle) -> None:
        for name in (*self._shims(bundle.sandbox_id), bundle.sandbox_id):
            cgroup.remove(self.host.groups, self.host.group(name))
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.host.engine.runtime_root / bundle.sandbox_id)
        self.host.remove_qgroups(*bundle.remove())

    def _shims(self, sandbox_id: str) -> list[str]:
        """Groups of its conmon and those of its runs."""
        directory = self.host.groups.path("cpu", self.host.config.instance)
        return [path.name for path in directory.glob(f"{SHIM}{sandbox_id}*")]

    def _watched(self, sandbox_id: str) -> Watched:
        group = self.host.group
        return Watched(self.host.bundle(sandbox_id), group(sandbox_id), group(SHIM + sandbox_id))
