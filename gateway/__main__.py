"""`python -m gateway`: serve until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

import structlog
import uvloop

from gateway.run import gateway
from gateway.settings import Settings, SettingsError, load

logger = structlog.get_logger("gateway")


def main() -> int:
    _configure_logging()
    try:
        uvloop.run(_serve(load()))
    except (SettingsError, OSError) as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 1
    return 0


async def _serve(settings: Settings) -> None:
    stopped = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopped.set)
    async with gateway(settings) as front:
        logger.info("serving", address=settings.address, port=front.port, domain=settings.apps_domain)
        await stopped.wait()
        logger.info("stopping", grace_s=settings.grace_s)


def _configure_logging() -> None:
    """One line an event, on stderr."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=("timestamp", "level", "event")),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


if __name__ == "__main__":
    sys.exit(main())
