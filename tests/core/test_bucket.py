"""The token bucket, and requests held to it."""

from __future__ import annotations

import signal
import threading
import time

import pytest
from django.test import override_settings

from core import bucket
from core import redis as redis_client
from tests.accounts import factories
from tests.servers import RedisServer
from tests.shape import assert_error

ME = "/api/v1/auth/me"


def test_burst_then_a_wait_then_again(redis: RedisServer) -> None:
    assert [bucket.take("k", 600, 3) for _ in range(3)] == [0, 0, 0]
    wait_s = bucket.take("k", 600, 3)
    assert 0 < wait_s <= 0.1  # ten a second
    assert bucket.take("other", 600, 3) == 0
    deadline = time.monotonic() + 5
    while bucket.take("k", 600, 3) > 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_many_at_once_get_no_more_than_the_burst(redis: RedisServer) -> None:
    allowed: list[bool] = []

    def take() -> None:
        allowed.extend(bucket.take("k", 1, 20) == 0 for _ in range(10))

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(allowed) == 20


def test_one_round_trip_and_the_key_goes_away(redis: RedisServer) -> None:
    client = redis_client.client()
    bucket.take("k", 60, 5)
    before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    bucket.take("k", 60, 5)
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == before + 1
    (key,) = client.keys("*bucket*")
    assert 0 < client.pttl(key) <= 6_000


def test_survives_flushed_scripts(redis: RedisServer) -> None:
    bucket.take("k", 60, 5)
    redis_client.client().script_flush()
    redis.flush()
    assert bucket.take("k", 60, 1) == 0
    assert bucket.take("k", 60, 1) > 0


def test_allows_everything_quickly_while_redis_is_away(
    redis: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.redis._complaint", redis_client.Complaint())
    redis.stop(signal.SIGKILL)
    try:
        started = time.monotonic()
        assert [bucket.take("k", 1, 1) for _ in range(200)] == [0] * 200
        assert time.monotonic() - started < 1
        assert len([record for record in caplog.records if record.name == "core.redis"]) == 1
    finally:
        redis.start()
    monkeypatch.setattr("core.redis._pause_until", 0.0)
    assert bucket.take("k", 1, 1) == 0
    assert bucket.take("k", 1, 1) > 0


def test_a_redis_that_hangs_costs_one_timeout_a_second(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.redis._pause_until", 0.0)
    bucket.take("k", 1000, 1000)
    assert redis_server._process is not None
    redis_server._process.send_signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        for _ in range(50):
            assert bucket.take("k", 1000, 1000) == 0
        assert time.monotonic() - started < 0.9
    finally:
        redis_server._process.send_signal(signal.SIGCONT)


@pytest.mark.django_db
@override_settings(THROTTLE_PER_MINUTE=12)
def test_requests_of_one_token_are_throttled_and_others_are_not(redis: RedisServer) -> None:
    owner = factories.user()
    client = factories.client_of(owner)
    assert [client.get(ME).status_code for _ in range(2)] == [200, 200]
    refused = client.get(ME)
    assert assert_error(refused, 429, "throttled")["retryable"] is True
    assert 1 <= int(refused.headers["Retry-After"]) <= 5
    assert factories.client_of(owner).get(ME).status_code == 200  # the same person's other token
    browser = factories.browser_of(owner)
    assert [browser.get(ME).status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.django_db
@override_settings(THROTTLE_PER_MINUTE=12)
def test_anonymous_callers_are_throttled_by_address(redis: RedisServer) -> None:
    client = factories.Client()
    enrol = "/api/host/v1/enrol"
    for expected in (400, 400, 429):
        assert client.post(enrol, {}, content_type="application/json").status_code == expected
    assert client.post(enrol, {}, content_type="application/json", REMOTE_ADDR="192.0.2.1").status_code == 400
