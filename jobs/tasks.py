"""Celery's entry points: short, and harmless to run twice."""

from __future__ import annotations

import logging
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from celery import shared_task
from django.conf import settings

from jobs import services

logger = logging.getLogger(__name__)

PROBE_TIMEOUT_S = 3
# The web tier is asked directly: a proxy that answers in its place would hide its absence.
_opener = build_opener(ProxyHandler({}))


@shared_task(name="jobs.sweep_hosts")
def sweep_hosts() -> list[str]:
    """Give up silent hosts and start what waits."""
    return services.sweep(is_reachable=is_reachable(settings.INTERNAL_URL))


@shared_task(name="jobs.expire_logs")
def expire_logs() -> int:
    """Remove output that is older than the retention."""
    return services.logs_expire()


def is_reachable(url: str) -> bool:
    """Whether the web tier answers at all. Any answer of its own will do."""
    try:
        with _opener.open(f"{url}/healthz", timeout=PROBE_TIMEOUT_S):
            return True
    except HTTPError as error:
        return error.code < 500
    except OSError as error:
        logger.warning("no answer from %s: %s", url, error)
        return False
