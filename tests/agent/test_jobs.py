"""What becomes of a job on a host: outcomes, output, stop, timeout."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.agent.conftest import Agent
from tests.agent.drivers import (
    DeafDriver,
    FailsToCreateDriver,
    FailsToStartDriver,
    ScriptDriver,
    SlowDriver,
    StickyDriver,
)
from tests.agent.fake_control_plane import FakeControlPlane


async def test_reports_start_output_and_true_exit_code(agent: Agent, plane: FakeControlPlane) -> None:
    lease = await plane.submit("echo $A; echo bad >&2; exit 3", environment={"A": 'it\'s "quoted" $HOME'})
    end = await plane.finished(lease)
    assert (end["outcome"], end["exit_code"]) == ("exited", 3)
    assert lease.by_stream(1) == b'it\'s "quoted" $HOME\n'
    assert lease.by_stream(2) == b"bad\n"
    assert end["log_bytes"] == len(lease.log)
    assert end["dropped_bytes"] == 0
    assert 0 <= end["duration_ms"] < 10_000
    assert lease.started is not None
    await agent.until_clean()


@pytest.mark.parametrize(
    ("script", "code"), [("", 0), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("nonsense 2>/dev/null", 127)]
)
async def test_exit_codes_are_never_guessed(
    agent: Agent, plane: FakeControlPlane, script: str, code: int
) -> None:
    end = await plane.finished(await plane.submit(script))
    assert (end["outcome"], end["exit_code"]) == ("exited", code)


async def test_keeps_bytes_exactly(agent: Agent, plane: FakeControlPlane) -> None:
    lease = await plane.submit(r"printf 'a\0b\n\n\r\n\377\376\nno newline'")
    await plane.finished(lease)
    assert bytes(lease.log) == b"a\0b\n\n\r\n\xff\xfe\nno newline"


async def test_output_arrives_while_the_script_runs(agent: Agent, plane: FakeControlPlane) -> None:
    lease = await plane.submit("echo first; sleep 60")
    await plane.wait(lambda: lease.text == "first\n")
    assert lease.finished is None
    await plane.wish_stop(lease)
    await plane.finished(lease)


async def test_a_background_child_does_not_hold_the_end_back(agent: Agent, plane: FakeControlPlane) -> None:
    began = time.monotonic()
    lease = await plane.submit("sleep 60 & echo hi")
    end = await plane.finished(lease)
    assert (end["exit_code"], lease.text) == (0, "hi\n")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("script", ["sleep 60", "trap '' TERM; echo deaf; while :; do sleep 60; done"])
async def test_stop_ends_within_two_seconds(agent: Agent, plane: FakeControlPlane, script: str) -> None:
    lease = await plane.submit(f"echo up; {script}")
    await plane.wait(lambda: lease.text.startswith("up\n"))
    began = time.monotonic()
    await plane.wish_stop(lease)
    end = await plane.finished(lease)
    assert (end["outcome"], end["exit_code"]) == ("stopped", 143)
    assert time.monotonic() - began < 2


async def test_stop_does_not_wait_for_a_signal_that_hangs(
    make_agent: Callable[..., Agent], plane: FakeControlPlane
) -> None:
    agent = make_agent()
    agent.driver = DeafDriver(agent.driver.root)
    await agent.start()
    lease = await plane.submit("echo up; sleep 60")
    await plane.wait(lambda: lease.text == "up\n")
    began = time.monotonic()
    await plane.wish_stop(lease)
    assert (await plane.finished(lease))["outcome"] == "stopped"
    assert time.monotonic() - began < 2


async def test_a_script_may_clean_up_when_stopped(agent: Agent, plane: FakeControlPlane) -> None:
    lease = await plane.submit("trap 'echo bye; exit 0' TERM; echo up; sleep 60 & wait")
    await plane.wait(lambda: lease.text == "up\n")
    await plane.wish_stop(lease)
    end = await plane.finished(lease)
    assert (end["outcome"], lease.text) == ("stopped", "up\nbye\n")


async def test_stop_wished_before_the_start_runs_nothing(agent: Agent, plane: FakeControlPlane) -> None:
    lease = await plane.submit("echo never", wish="stop")
    end = await plane.finished(lease)
    assert (end["outcome"], end["exit_code"], lease.started) == ("stopped", 143, None)
    assert agent.driver.created == []


async def test_stop_while_the_sandbox_is_built(
    make_agent: Callable[..., Agent], plane: FakeControlPlane
) -> None:
    agent = make_agent()
    driver = agent.driver = SlowDriver(agent.driver.root)
    await agent.start()
    lease = await plane.submit("echo never")
    await driver.entered.wait()
    await plane.wish_stop(lease)
    end = await plane.finished(lease)
    assert (end["outcome"], lease.started) == ("stopped", None)
    driver.release.set()
    await agent.until_clean()
    assert lease.log == b""


async def test_timeout(agent: Agent, plane: FakeControlPlane) -> None:
    lease = await plane.submit("echo up; sleep 60", timeout_s=1)
    end = await plane.finished(lease)
    assert (end["outcome"], end["exit_code"], lease.text) == ("timed_out", 124, "up\n")


async def test_timeout_goes_on_counting_without_an_agent(agent: Agent, plane: FakeControlPlane) -> None:
    lease = await plane.submit("echo up; sleep 60", timeout_s=2)
    await plane.wait(lambda: lease.text == "up\n")
    began = time.monotonic()
    await agent.detach()
    await asyncio.sleep(0.5)  # the time that passes is what is tested
    await agent.start()
    end = await plane.finished(lease)
    assert end["outcome"] == "timed_out"
    assert 1 < time.monotonic() - began < 3.5


async def test_create_fails(make_agent: Callable[..., Agent], plane: FakeControlPlane) -> None:
    agent = make_agent()
    await agent.start(FailsToCreateDriver(agent.driver.root))
    lease = await plane.submit("echo never", image="odd")
    end = await plane.finished(lease)
    assert (end["outcome"], end["exit_code"], lease.started) == ("start_failed", None, None)
    assert "no image odd" in end["message"]
    assert "/secret" not in end["message"]


async def test_start_fails(make_agent: Callable[..., Agent], plane: FakeControlPlane) -> None:
    agent = make_agent()
    await agent.start(FailsToStartDriver(agent.driver.root))
    lease = await plane.submit("echo never")
    end = await plane.finished(lease)
    assert (end["outcome"], lease.started) == ("start_failed", None)
    assert "second line" not in end["message"]
    await agent.until_clean()


@pytest.mark.parametrize(
    ("found", "code", "outcome"),
    [
        ({"is_oom": True, "exit_code": 137}, 137, "oom"),
        ({"is_oom": True, "exit_code": 1}, 1, "exited"),  # a child was killed, the script saw it and ended
        ({"is_disk_full": True, "exit_code": 1}, 1, "disk_full"),
        ({"is_disk_full": True, "exit_code": 0}, 0, "exited"),
    ],
)
async def test_outcomes_of_an_exit(
    make_agent: Callable[..., Agent],
    plane: FakeControlPlane,
    found: dict[str, object],
    code: int,
    outcome: str,
) -> None:
    agent = make_agent()
    agent.driver.edit_exit = lambda end: replace(end, **found)  # type: ignore[arg-type]
    await agent.start()
    end = await plane.finished(await plane.submit("exit 1"))
    assert (end["outcome"], end["exit_code"]) == (outcome, code)


async def test_removing_is_tried_until_it_works(
    make_agent: Callable[..., Agent], plane: FakeControlPlane
) -> None:
    agent = make_agent()
    driver = agent.driver = StickyDriver(agent.driver.root)
    await agent.start()
    await plane.finished(await plane.submit("true"))
    await agent.until_clean()
    assert driver.tries == 3


async def test_jobs_run_side_by_side(agent: Agent, plane: FakeControlPlane) -> None:
    leases = [await plane.submit(f"sleep 0.2; echo {n}; exit {n}") for n in range(12)]
    ends = [await plane.finished(lease) for lease in leases]
    assert [end["exit_code"] for end in ends] == list(range(12))
    assert [lease.text for lease in leases] == [f"{n}\n" for n in range(12)]
    await agent.until_clean()


async def test_a_retried_attempt_continues_the_jobs_output(agent: Agent, plane: FakeControlPlane) -> None:
    lease = await plane.submit("echo again", log_offset=100)
    end = await plane.finished(lease)
    assert bytes(lease.log[100:]) == b"again\n"
    assert end["log_bytes"] == 106


async def test_driver_of_these_tests_runs_a_script_once(agent: Agent, plane: FakeControlPlane) -> None:
    lease = await plane.submit("sleep 60")
    await plane.wait(lambda: lease.started is not None)
    assert isinstance(agent.driver, ScriptDriver)
    with pytest.raises(Exception, match="started before"):
        await agent.driver.start(lease.sandbox_id)
