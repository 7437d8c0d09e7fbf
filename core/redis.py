"""The process's Redis client, for work that may be skipped: Redis only helps, the database decides."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

logger = logging.getLogger(__name__)
T = TypeVar("T")

TIMEOUT_S = 0.25  # on one machine or one network Redis answers in under 1 ms
PAUSE_S = 1.0  # after a failure: what a dead Redis may cost is one timeout a second, not one a call
COMPLAIN_EVERY_S = 60.0


class Complaint:
    """Says that something is wrong at most once a minute."""

    def __init__(self) -> None:
        self._next_at = 0.0
        self._lock = threading.Lock()

    def say(self, message: str, error: BaseException) -> None:
        with self._lock:
            now = time.monotonic()
            if now < self._next_at:
                return
            self._next_at = now + COMPLAIN_EVERY_S
        logger.warning("%s: %s: %s", message, type(error).__name__, error)


_complaint = Complaint()
_pause_until = 0.0


@cache
def client() -> Redis:
    """Thread-safe and fork-safe; raises quickly instead of waiting for a Redis that is away."""
    return Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )


def attempt(call: Callable[[Redis], T]) -> T | None:
    """What `call` answers, or None if Redis is away (or was, less than a second ago)."""
    global _pause_until
    if time.monotonic() < _pause_until:
        return None
    try:
        return call(client())
    except (RedisError, OSError) as error:
        _pause_until = time.monotonic() + PAUSE_S
        _complaint.say("Redis is not available; going on without it", error)
        return None
