"""A token bucket in Redis: how often somebody may do something."""

from __future__ import annotations

from functools import cache

from django.conf import settings
from redis import Redis
from redis.commands.core import Script

from core import redis

# One round trip, with the time of the server, so that many web processes share one bucket.
_LUA = """
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = burst
if kept[1] then
  tokens = math.min(burst, tonumber(kept[1]) + math.max(0, now - tonumber(kept[2])) * rate)
end
local wait = 0
if tokens >= 1 then tokens = tokens - 1 else wait = (1 - tokens) / rate end
redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / rate * 1000) + 1000)
return string.format('%.6f', wait)
"""


def take(key: str, per_minute: int, burst: int) -> float:
    """Take one. Answers 0 if that was allowed, else the seconds until it will be.

    While Redis is away everything is allowed: a limit protects the service, it must not stop it.
    """
    name = f"{settings.REDIS_PREFIX}:bucket:{key}"
    answer = redis.attempt(
        lambda client: _script()(keys=[name], args=[per_minute / 60, burst], client=client)
    )
    return float(answer) if isinstance(answer, bytes) else 0.0


@cache
def _script() -> Script:
    connection: Redis = redis.client()
    return connection.register_script(_LUA)
