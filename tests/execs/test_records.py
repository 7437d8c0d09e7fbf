"""What is written down of execs, and what the worker finds out about them."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from execs import tasks
from execs.errors import ExecElsewhere
from execs.flow import INPUT_LIMIT_BYTES, PART_BYTES, Input, OutputWindow, TooSlow
from execs.models import Exec
from execs.services import (
    Command,
    exec_create,
    exec_ended,
    exec_expire,
    exec_not_started,
    exec_started,
    settling,
)
from execs.states import ENDS, EXEC_TRANSITIONS, ExecEnd, ExecState, Origin
from execwire.frames import Ended, Open, Outcome, Stream
from sandboxes.models import Sandbox
from tests.execs.conftest import Place
from tests.execs.hosts import Hear, Say, ScriptedHost, closed_port, ended, failing, running
from tests.jobs import held
from tests.jobs.factories import startup

pytestmark = pytest.mark.django_db(transaction=True)
END = Ended(Outcome.EXITED, 7, 1, 2, 1_763_881_800_000)


def record(job: Any, state: ExecState = ExecState.STARTING, age_s: float = 0) -> Exec:
    row = exec_create(job.owner, None, job, held.box(job), Command("x", Origin.API), uuid.uuid4())
    if state is not ExecState.STARTING:
        exec_started(row.pk, timezone.now())
    if state is ExecState.ENDED:
        exec_ended(row.pk, END)
    Exec.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(seconds=age_s))
    row.refresh_from_db()
    return row


MOVES = {
    ExecState.RUNNING: lambda row: exec_started(row.pk, timezone.now()),
    ExecState.ENDED: lambda row: exec_ended(row.pk, END),
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(ExecState, MOVES)))
def test_every_move(placed: Place, before: ExecState, after: ExecState) -> None:
    row = record(placed(closed_port()), before)
    is_allowed = after in EXEC_TRANSITIONS[before]
    assert MOVES[after](row) is is_allowed
    row.refresh_from_db()
    assert row.state == (after if is_allowed else before)


def test_an_end_never_changes(placed: Place) -> None:
    row = record(placed(closed_port()), ExecState.ENDED)
    assert exec_ended(row.pk, Ended(Outcome.LOST, None, 0, 0, 0)) is exec_not_started(row.pk, "no") is False
    row.refresh_from_db()
    assert (row.reason, row.exit_code, row.stdout_bytes) == ("exited", 7, 1)


@pytest.mark.parametrize(
    "nonsense",
    [{"state": "asleep"}, {"state": "ended"}, {"reason": "exited"}, {"exit_code": 0},
     {"state": "ended", "reason": "lost", "exit_code": 0, "ended_at": timezone.now()}],
)  # fmt: skip
def test_the_database_refuses_nonsense(placed: Place, nonsense: dict[str, Any]) -> None:
    row = record(placed(closed_port()))
    with pytest.raises(IntegrityError), transaction.atomic():
        Exec.objects.filter(pk=row.pk).update(**nonsense)


def test_an_id_is_used_once(placed: Place) -> None:
    row = record(placed(closed_port()))
    with pytest.raises(ExecElsewhere):
        exec_create(row.owner, None, row.job, row.sandbox, Command("y", Origin.API), row.pk)  # type: ignore[arg-type]


class TestSweep:
    def test_who_has_ended_and_who_was_never_started(self, placed: Place) -> None:
        with ScriptedHost(ended(code=5)) as host:
            job = placed(host)
            row = record(job, ExecState.RUNNING, age_s=200)
            assert tasks.settle() == 1
            row.refresh_from_db()
            assert (row.reason, row.exit_code) == ("exited", 5)
            host.plays = [failing("no_exec")]
            forgotten, young = record(job, age_s=200), record(job)
            assert tasks.settle() == 1
            forgotten.refresh_from_db()
            assert (forgotten.reason, forgotten.exit_code) == ("not_started", None)
            young.refresh_from_db()
            assert young.state == ExecState.STARTING  # its caller may be about to ask

    def test_who_runs_and_whose_host_is_away(self, placed: Place) -> None:
        away = record(placed(closed_port(), workspace="w1"), age_s=200)
        with ScriptedHost(running()) as host:
            there = record(placed(host, workspace="w2"), age_s=200)
            assert tasks.settle() == 0
        states = dict(Exec.objects.values_list("pk", "state"))
        assert states == {away.pk: ExecState.STARTING, there.pk: ExecState.RUNNING}

    def test_what_ran_is_not_said_to_have_never_run(self, placed: Place) -> None:
        """A host forgets what ended long ago, also where we could not ask it before."""
        with ScriptedHost(failing("no_exec")) as host:
            job = placed(host)
            ran, old = record(job, ExecState.RUNNING, age_s=200), record(job, age_s=25 * 3600)
            assert tasks.settle() == 2
        ends = Exec.objects.filter(pk__in=[ran.pk, old.pk]).values_list("reason", "exit_code")
        assert set(ends) == {("lost", None)}

    def test_hosts_that_do_not_answer_do_not_hold_it_up(
        self, placed: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """More of them than are asked at once: the last were asked after a multiple of the patience."""

        async def silent(opening: Open, say: Say, hear: Hear) -> None:
            await asyncio.sleep(60)

        monkeypatch.setattr(settling, "AT_ONCE", 1)
        with ScriptedHost(silent) as host:
            job = placed(host)
            asked = settling.questions([record(job, age_s=200) for _ in range(6)])
            assert asyncio.run(settling.ask(asked, 0.2)) == []
            assert 1 <= len(host.openings) <= 3

    def test_whose_sandbox_has_ended(self, placed: Place) -> None:
        job = placed(closed_port())
        row = record(job, ExecState.RUNNING)
        held.end(job.agent, held.box(job), "lost")  # type: ignore[attr-defined]
        assert tasks.settle() == 1
        row.refresh_from_db()
        assert (row.reason, row.exit_code, row.message != "") == ("lost", None, True)

    def test_old_records_go(self, placed: Place, settings: Any) -> None:
        job = placed(closed_port())
        old, new = record(job, ExecState.ENDED), record(job, ExecState.RUNNING)
        kept = record(job)
        exec_ended(kept.pk, Ended(Outcome.EXITED, 0, 0, 0, round(timezone.now().timestamp() * 1000)))
        assert exec_expire() == 1
        assert set(Exec.objects.values_list("pk", flat=True)) == {new.pk, kept.pk} != {old.pk}


class TestStartup:
    def test_a_startup_command_is_an_exec(self, placed: Place) -> None:
        job = placed(closed_port(), startup_command="serve")
        begun = startup(held.box(job), "started")
        over = startup(held.box(job), "exited", exit_code=1, reason="exited", again_s=2.0)
        for report in (begun, begun, over, begun, over):
            assert job.agent.report(report) == [{"status": 200}]  # type: ignore[attr-defined]
        row = Exec.objects.get()
        assert (row.pk.hex, row.origin, row.command, row.owner) == ("ab" * 16, "startup", "serve", job.owner)
        assert (row.state, row.reason, row.exit_code, row.stdout_bytes) == ("ended", "exited", 1, None)

    def test_it_is_the_one_that_its_sandbox_was_made_with(self, placed: Place) -> None:
        job = placed(closed_port(), startup_command="changed")
        Sandbox.objects.filter(pk=held.box(job).pk).update(made_for="url", startup_command="serve")
        job.agent.report(startup(held.box(job), "started"))  # type: ignore[attr-defined]
        assert Exec.objects.get().command == "serve"

    @pytest.mark.parametrize("reason", ["lost", "not_started"])
    def test_a_code_of_what_has_none(self, placed: Place, reason: str) -> None:
        job = placed(closed_port(), startup_command="serve")
        report = startup(held.box(job), "exited", exit_code=0, reason=reason)
        assert job.agent.report(report) == [{"status": 200}]  # type: ignore[attr-defined]
        assert Exec.objects.values_list("reason", "exit_code").get() == (reason, None)

    def test_a_host_cannot_end_what_is_elsewhere(self, placed: Place) -> None:
        theirs = record(placed(closed_port(), workspace="theirs"), ExecState.RUNNING)
        job = placed(closed_port(), workspace="own", startup_command="serve")
        report = startup(held.box(job), "exited", exec_id=theirs.pk.hex, exit_code=0, reason="exited")
        job.agent.report(report)  # type: ignore[attr-defined]
        theirs.refresh_from_db()
        assert theirs.state == ExecState.RUNNING


class TestFlow:
    async def test_a_client_that_acknowledges_is_waited_for(self) -> None:
        window = OutputWindow(10, 0)
        window.sent[Stream.STDOUT] = 20
        window.acknowledge(20, 0)
        window.sent[Stream.STDOUT] += 2 * 2**20
        waiting = asyncio.create_task(window.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        window.acknowledge(5, 0)  # what was acknowledged before, and ...
        window.acknowledge(2**40, 0)  # ... what was never sent, do not count
        await asyncio.sleep(0.01)
        assert not waiting.done()
        window.acknowledge(20 + 2 * 2**20, 0)
        await asyncio.wait_for(waiting, 5)

    async def test_one_that_acknowledges_nothing_is_let_go(self) -> None:
        window = OutputWindow(0, 0)
        window.sent[Stream.STDERR] = 16 * 2**20
        await window.room()
        window.sent[Stream.STDERR] += 1
        with pytest.raises(TooSlow):
            await window.room()

    async def test_input_is_bounded_and_in_order(self) -> None:
        taken = Input()
        room = INPUT_LIMIT_BYTES - PART_BYTES
        taken.put(b"a" * room)
        with pytest.raises(Exception, match="More input"):
            taken.put(b"b")
        assert await taken.get() == b"a" * room
        taken = Input()
        for _ in range(INPUT_LIMIT_BYTES // PART_BYTES):
            taken.put(None)
        with pytest.raises(Exception, match="More input"):  # nor does it end for ever
            taken.put(None)
        taken = Input()
        taken.put(b"x")
        taken.put(None)
        assert [await taken.get(), await taken.get()] == [b"x", None]


def test_every_end_of_a_host_is_one_of_ours() -> None:
    assert set(ENDS) == set(Outcome)
    assert set(ENDS.values()) == set(ExecEnd) - {ExecEnd.NOT_STARTED}
