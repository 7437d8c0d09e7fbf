"""How the installation is, line by line, with what to do where something is wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core import redis
from core.errors import MagsError
from dashboard import figures
from dashboard.presentation import duration_text, size_text
from hosts.states import HostState
from workspaces import objectstore

QUEUE_WARN_S, QUEUE_BAD_S = 60, 600
FAILURES_WARN = 10  # within an hour, that were not the script's own doing
SWEEP_WARN_S, SWEEP_BAD_S = 30, 120  # it is due every 5 s
SLOW_S = 0.5  # Redis and the object store are near
DISK_WARN, DISK_BAD = 0.15, 0.05  # of it free
TASKS_WARN = 500  # the worker is behind
CELERY_QUEUE = "celery"
NOBODYS_KEY = "health/nothing-is-here"
# How jobs end by themselves. The others are ours to look at.
OF_SCRIPTS = {"exit_code", "timed_out", "oom", "disk_full", "stopped"}


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    state: State
    text: str
    advice: str = ""  # where it is not well

    @property
    def word(self) -> str:
        return {State.OK: "Fine", State.WARN: "Look", State.BAD: "Broken"}[self.state]


def checks() -> list[Check]:
    now = figures.now()
    return [
        _queue(now), _hosts(), _failures(now), _sandboxes(), _background(now),
        _tasks(), _redis(), _object_store(), *_storage(), _orphans(),
    ]  # fmt: skip


def worst(found: list[Check]) -> State:
    states = {check.state for check in found}
    return next((state for state in (State.BAD, State.WARN) if state in states), State.OK)


def _by(value: float, warn: float, bad: float) -> State:
    return State.BAD if value >= bad else State.WARN if value >= warn else State.OK


def _queue(now: datetime) -> Check:
    queue = figures.queue(now)
    if not queue.length:
        return Check("Queue", State.OK, "No job waits for a host.")
    jobs = "1 job waits" if queue.length == 1 else f"{queue.length} jobs wait"
    return Check(
        "Queue", _by(queue.oldest_s, QUEUE_WARN_S, QUEUE_BAD_S),
        f"{jobs} for a host, the first for {duration_text(round(queue.oldest_s * 1000))}.",
        "Every host is full or away: add a host, end what nobody needs, or see below which are lost.",
    )  # fmt: skip


def _hosts() -> Check:
    counts = figures.hosts_by_state()
    online = counts[HostState.ONLINE]
    words = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"
    text = f"{words[0].upper()}{words[1:]}. " + " ".join(
        f"{used} of {total} {name.replace('_mb', ' (MB)')} used."
        for name, (used, total) in figures.room().items()
    )
    if not online:
        return Check("Hosts", State.BAD, text, "Nothing can start. Start mags-agent on a host, or add one.")
    if counts[HostState.LOST]:
        advice = "Look at the lost ones: power, network, the agent's log. Revoke those that are gone."
        return Check("Hosts", State.WARN, text, advice)
    return Check("Hosts", State.OK, text)


def _failures(now: datetime) -> Check:
    counts = figures.failures(now)
    ours = sum(count for reason, count in counts.items() if reason not in OF_SCRIPTS)
    words = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "None"
    return Check(
        "Failures, last hour", State.WARN if ours >= FAILURES_WARN else State.OK, f"{words}.",
        "These jobs did not fail by themselves: their pages and events in the administration say why.",
    )  # fmt: skip


def _sandboxes() -> Check:
    counts = figures.sandboxes_by_state()
    words = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "None"
    return Check("Kept sandboxes", State.OK, f"{words}; {figures.sandboxes_asleep()} asleep.")


def _background(now: datetime) -> Check:
    swept_at = figures.swept_at()
    silent_s = (now - swept_at).total_seconds() if swept_at else float("inf")
    state = _by(silent_s, SWEEP_WARN_S, SWEEP_BAD_S)
    text = (
        f"The last sweep was {duration_text(round(silent_s * 1000))} ago."
        if swept_at
        else "They have never run."
    )
    advice = (
        "Lost hosts are not noticed and nothing is brought back. Start beat and worker (make up does), and"
        " read their logs."
    )
    return Check("Worker and beat", state, text, advice)


def _tasks() -> Check:
    waiting = redis.attempt(lambda client: client.llen(CELERY_QUEUE))
    if not isinstance(waiting, int):
        return Check("Background tasks", State.WARN, "Not known while Redis is away.", "See Redis.")
    state = State.WARN if waiting >= TASKS_WARN else State.OK
    return Check(
        "Background tasks", state, f"{waiting} wait for a worker.", "Start more workers, or look at theirs."
    )


def _redis() -> Check:
    began = time.perf_counter()
    is_there = redis.attempt(lambda client: client.ping()) is not None
    took_s = time.perf_counter() - began
    if not is_there:
        advice = "All goes on, more slowly. Start Redis, or check MAGS_REDIS_URL."
        return Check("Redis", State.WARN, "It does not answer.", advice)
    return _timed("Redis", took_s)


def _object_store() -> Check:
    began = time.perf_counter()
    try:
        objectstore.size_of(NOBODYS_KEY)
    except MagsError as error:
        advice = f"Workspaces cannot be saved and files not be uploaded. {error.remediation}"
        return Check("Object store", State.BAD, error.message, advice)
    return _timed("Object store", time.perf_counter() - began)


def _timed(name: str, took_s: float) -> Check:
    state = State.WARN if took_s >= SLOW_S else State.OK
    return Check(
        name, state, f"Answers in {took_s * 1000:.1f} ms.", "It is slow: look at its load and the network."
    )


def _storage() -> Iterator[Check]:
    found = figures.storage()
    free = found.disk_free_bytes / found.disk_total_bytes
    state = State.BAD if free < DISK_BAD else State.WARN if free < DISK_WARN else State.OK
    yield Check(
        "Disk", state, f"{size_text(found.disk_free_bytes)} of {size_text(found.disk_total_bytes)} free.",
        "Make room where MAGS_VAR_DIR is: a full disk stops the database.",
    )  # fmt: skip
    yield Check(
        "Stored", State.OK,
        f"{size_text(found.stored_bytes)} of workspaces, {size_text(found.upload_bytes)} of uploads,"
        f" {size_text(found.database_bytes)} of database.",
    )  # fmt: skip


def _orphans() -> Check:
    found = figures.orphans()
    text = (
        f"{found.leases} leases, {found.sandboxes} sandboxes, {found.workspaces} workspaces held by nobody."
        if found.total
        else "Everything that is held is held by somebody."
    )
    advice = "The sweep ends them within seconds. If they stay, look at the worker's log."
    return Check("Orphans", State.WARN if found.total else State.OK, text, advice)
