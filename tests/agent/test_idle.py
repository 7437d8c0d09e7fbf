"""The idle rule, on times that are made up."""

from __future__ import annotations

import pytest

from hostagent.heldwire import Evidence, SleepWish
from hostagent.idle import IdleWatch, Use

WISH = SleepWish(idle_s=100, cpu_percent=2.0)
WITH_RUNS = SleepWish(idle_s=100, cpu_percent=2.0, with_runs=True)


def use(at: float, cpu_ms: int = 0, **changes: float) -> Use:
    values = {"connections": 0, "execs": 0, "runs": 0, "active_at": 0.0} | changes
    return Use(at, cpu_ms, **values)  # type: ignore[arg-type]


def look(watch: IdleWatch, *uses: Use, wish: SleepWish = WISH) -> Evidence | None:
    """What the last look shows."""
    found = [watch.see(one, wish) for one in uses]
    assert found[:-1] == [None] * (len(uses) - 1)
    return found[-1]


def test_idle_after_a_whole_window() -> None:
    watch = IdleWatch()
    assert look(watch, use(0), use(50), use(99.9)) is None
    assert look(watch, use(100, 1999)) == Evidence(100_000, 1999, 100_000, 0, 0, 0)


def test_weeks_of_looks_take_little_memory() -> None:
    watch, wish = IdleWatch(), SleepWish(idle_s=4e6, cpu_percent=2.0)
    looks = [watch.see(use(30.0 * number), wish) for number in range(133_336)]
    assert [bool(found) for found in looks[-3:]] == [False, True, True]
    assert len(watch._window) <= 202


@pytest.mark.parametrize("what", ["connections", "execs", "runs"])
def test_whoever_uses_it_keeps_it_awake(what: str) -> None:
    watch = IdleWatch()
    assert look(watch, use(0), use(90, **{what: 1}), use(100), use(189)) is None
    assert look(watch, use(190)) is not None


def test_run_counts_unless_it_is_said_not_to() -> None:
    found = look(IdleWatch(), use(0, runs=1), use(100, runs=1), wish=WITH_RUNS)
    assert found is not None
    assert found.runs == 1


def test_visit_between_two_looks() -> None:
    watch = IdleWatch()
    assert look(watch, use(0), use(95), use(100, active_at=96), use(199, active_at=96)) is None
    found = look(watch, use(200, active_at=96))
    assert found is not None
    assert found.idle_ms == 104_000


def test_cpu_over_a_window_that_moves_on() -> None:
    watch = IdleWatch()
    looks = [use(at, cpu_ms=at * 30) for at in range(0, 1000, 5)]  # 3 %
    assert look(watch, *looks) is None
    busy_ms = 995 * 30
    assert look(watch, *[use(at, busy_ms) for at in range(1000, 1025, 5)]) is None
    found = look(watch, use(1030, busy_ms))
    assert found is not None
    assert found.cpu_ms < 2000
    assert found.window_ms == 100_000
    assert found.idle_ms == 1_030_000  # nobody has used it since the beginning


def test_more_than_no_cpu_where_none_is_allowed() -> None:
    watch = IdleWatch()
    assert look(watch, use(0), use(100), wish=SleepWish(idle_s=100, cpu_percent=0)) is None


def test_something_happened_that_no_look_shows() -> None:
    watch = IdleWatch()
    assert look(watch, use(0)) is None
    watch.restart(60)
    assert look(watch, use(100), use(199)) is None
    assert look(watch, use(200)) is not None


def test_next_look_is_when_the_window_is_full() -> None:
    watch = IdleWatch()
    assert watch.next_look_s(0, WISH) == 5
    look(watch, use(0), use(98))
    assert watch.next_look_s(98, WISH) == 2
    look(watch, use(100, 5000))  # idle but for its CPU
    assert watch.next_look_s(100, WISH) == 5
    long = SleepWish(idle_s=7200, cpu_percent=2)
    assert IdleWatch().next_look_s(0, long) == 30
