"""`python -m hostagent.dataport`: serve until SIGTERM. Runs beside the agent, as root, on the same state."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

import structlog
import uvloop

from hostagent import config, identity
from hostagent.config import Config
from hostagent.dataport import settings
from hostagent.dataport.server import DataPort
from hostagent.dataport.settings import Settings
from hostagent.errors import AgentError

logger = structlog.get_logger(__name__)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hostagent.dataport", description=__doc__)
    parser.add_argument("--state-dir", type=Path, help="the agent's (MAGS_AGENT_STATE_DIR)")
    arguments = parser.parse_args()
    _configure_logging()
    try:
        own, agents = settings.load(), config.load(state_dir=arguments.state_dir)
        uvloop.run(_serve(agents, own, identity.load(agents.state_dir).host_id))
    except (AgentError, OSError) as error:
        sys.stderr.write(f"data port: {error}\n")
        return 1
    return 0


async def _serve(agents: Config, own: Settings, host_id: str) -> None:
    port = DataPort(agents, own, host_id)
    stopped = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopped.set)
    async with port.serving():
        logger.info("serving", address=own.address, port=port.port, host=host_id)
        await stopped.wait()


def _configure_logging() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.LogfmtRenderer(key_order=("timestamp", "level", "event")),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


if __name__ == "__main__":
    sys.exit(main())
