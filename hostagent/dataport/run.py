"""`hostagent data`: the data port as a process. Runs beside the agent, as root, on the same state."""

from __future__ import annotations

import asyncio
import signal

import structlog
import uvloop

from hostagent import identity
from hostagent.config import Config
from hostagent.dataport import settings
from hostagent.dataport.server import DataPort
from hostagent.dataport.settings import Settings

logger = structlog.get_logger(__name__)


def run(config: Config) -> None:
    """Serve until SIGTERM. Raises AgentError or OSError where it cannot."""
    uvloop.run(_serve(config, settings.load(), identity.load(config.state_dir).host_id))


async def _serve(agents: Config, own: Settings, host_id: str) -> None:
    port = DataPort(agents, own, host_id)
    stopped = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopped.set)
    async with port.serving():
        logger.info("serving", address=own.address, port=port.port, host=host_id)
        await stopped.wait()
