"""Starting and ending agents that are processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from hostagent.config import Config
from hostagent.identity import Identity, save
from tests.agent.fake_control_plane import KEY

ROOT = Path(__file__).resolve().parents[2]


class AgentProcess:
    def __init__(self, state_dir: Path, url: str, config: Config | None = None) -> None:
        """With `config` on real sandboxes, else on a `ScriptDriver`."""
        self.state_dir = state_dir
        self._environment = dict(os.environ)
        if config is not None:
            values = {name: str(value) for name, value in asdict(config).items()}
            self._environment |= {f"MAGS_AGENT_{name.upper()}": value for name, value in values.items()}
        save(state_dir, Identity("a-host", KEY, url))
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, dies: str = "") -> None:
        arguments = [str(self.state_dir), *([dies] if dies else [])]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.agent.agent_process", *arguments, cwd=ROOT, env=self._environment,
            stdin=asyncio.subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr,
        )  # fmt: skip

    async def ended(self) -> int:
        assert self._process is not None
        return await asyncio.wait_for(self._process.wait(), 30)

    async def signal(self, signum: signal.Signals) -> int:
        self.send(signum)
        return await self.ended()

    def send(self, signum: signal.Signals) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(signum)

    async def until_clean(self) -> None:
        """Nothing of any lease or held sandbox is left on disk."""
        await self.until(lambda: not self._left())

    def _left(self) -> list[Path]:
        names = ("leases", "sandboxes", "held")
        directories = [self.state_dir / name for name in names]
        return [path for directory in directories if directory.exists() for path in directory.iterdir()]

    async def until(self, condition: Callable[[], object]) -> None:
        for _ in range(400):
            if condition():
                return
            await asyncio.sleep(0.025)  # polls for what nobody tells of
        raise AssertionError(self._left())
