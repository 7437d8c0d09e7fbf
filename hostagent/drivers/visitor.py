"""An agent's sandboxes as another process on its machine sees them: it starts commands in them, no more."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor

from hostagent.config import Config
from hostagent.drivers import shim
from hostagent.drivers.host import THREADS, Host
from hostagent.drivers.statefs import StateFs, state_root
from hostagent.linux import cgroup
from hostagent.linux.launch import Launch


class Visitor(Host):
    """Opened before the agent is or after it, and never the owner of anything of a sandbox."""

    def __init__(self, config: Config, launcher: str) -> None:
        """`launcher`: the control group of this process's own launcher."""
        super().__init__(config)
        self._launcher = launcher
        self._opening = asyncio.Lock()  # a second launcher would end the first
        self._is_ready = False
        self.groups = cgroup.detect()
        self.fs = StateFs(state_root(config))
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="visitor")

    async def ready(self) -> None:
        """With the first command: a host may never see one."""
        async with self._opening:
            if not self._is_ready:
                await self.slow(self._prepare_launch)
                self._is_ready = True

    def _prepare_launch(self) -> None:
        self.engine = shim.engine(self.config, self.run_dir / "runtime")
        cgroup.make(self.groups, self.group(self._launcher))
        hierarchies = self.groups.sandbox_hierarchies() if self.engine.is_crun else []
        self.launch = Launch(self.fs.root, hierarchies, self.groups, self.group(self._launcher))

    def look_up(self, sandbox_id: str) -> None:
        """Know what the agent's own process knows about a sandbox."""
        claim = self.bundle(sandbox_id).read_claim()
        if claim is not None:
            self.claims[sandbox_id] = claim

    def leave(self) -> None:
        """What was started lives on."""
        if self._is_ready:
            self.launch.close()
            cgroup.kill(self.groups, self.group(self._launcher), "cpu")
            for path in self.groups.paths(self.group(self._launcher)):
                with contextlib.suppress(OSError):  # what was started is still in it
                    path.rmdir()
        self._threads.shutdown()
