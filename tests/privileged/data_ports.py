"""A data port beside a driver, and sandboxes whose records say that an agent holds them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from gateway.dial import Target
from hostagent.config import Config
from hostagent.dataport.server import DataPort
from hostagent.dataport.settings import Settings
from hostagent.heldwire import SandboxWish, VolumeWish
from hostagent.holdings import HeldPhase, HeldRecord, Holdings
from tests.dataport.signer import HOST_ID, Signer
from tests.privileged.conftest import ROOT

EPOCH = 1


def write_record(
    config: Config, sandbox_id: str, phase: HeldPhase = HeldPhase.RUNNING, epoch: int = EPOCH
) -> None:
    """What an agent writes down about a held sandbox."""
    wish = SandboxWish(
        sandbox_id=sandbox_id,
        epoch=epoch,
        revision=1,
        wish="run",
        tenant="u1",
        image="standard",
        vcpus=1,
        memory_mb=256,
        disk_gb=1,
        is_kept=True,
        checkpoint_s=0,
        volume=VolumeWish(id=None, head=None, base=None, is_saved=False),
    )
    Holdings(config.state_dir / "held").write(HeldRecord(wish, "boot", 1, phase))


class Ported:
    """A running data port, and the signer of its tickets."""

    def __init__(self, config: Config, port: DataPort, signer: Signer) -> None:
        self.config = config
        self.port = port
        self.signer = signer

    def target(self, sandbox_id: str, port: int, ticket: str | None = None) -> Target:
        ticket = ticket or self.signer.ticket(sandbox_id, "ssh" if port == 22 else port)
        return Target("127.0.0.1", self.port.port, sandbox_id, port, ticket)


@contextlib.asynccontextmanager
async def data_port(config: Config, **settings: object) -> AsyncIterator[Ported]:
    signer = Signer()
    signer.publish(config.state_dir)
    port = DataPort(config, Settings(**({"port": 0} | settings)), HOST_ID)  # type: ignore[arg-type]
    async with port.serving():
        yield Ported(config, port, signer)


def enable_ssh(config: Config, sandbox_id: str, host_key: Path, authorized: str) -> None:
    """What an agent does when SSH is enabled."""
    directory = config.state_dir / "fs/sandboxes" / sandbox_id / "ssh"
    directory.mkdir(mode=0o700, exist_ok=True)
    (directory / "host_key").write_bytes(host_key.read_bytes())
    (directory / "authorized_keys").write_text(authorized)


async def start_process(config: Config, port: int) -> asyncio.subprocess.Process:
    agent = {
        f"MAGS_AGENT_{name.upper()}": str(getattr(config, name))
        for name in ("state_dir", "instance", "network4", "network6")
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hostagent", "data"),
        cwd=ROOT,
        env={**os.environ, **agent, "MAGS_DATA_PORT_PORT": str(port)},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(20):
        assert b"event=serving" in await process.stderr.readline()
    return process
