"""Commands over REST, on hosts that do what real ones seldom do."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from execs.api import running as running_view
from execs.models import Exec
from execs.states import ExecState
from execwire.frames import Outcome, Signal
from sandboxes.models import Sandbox
from tests.execs.conftest import Place
from tests.execs.hosts import ScriptedHost, closed_port, cut, ended, failing, running
from tests.jobs import factories, held
from tests.jobs.factories import API, Agent

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def post(client: Client, path: str, body: dict[str, Any], key: str = "") -> tuple[int, dict[str, Any]]:
    headers = {"Idempotency-Key": key} if key else {}
    response = client.post(f"{API}/mags-jobs/{path}", body, content_type="application/json", headers=headers)
    return response.status_code, response.json()


def get(client: Client, path: str) -> tuple[int, dict[str, Any]]:
    response = client.get(f"{API}/mags-jobs/{path}")
    return response.status_code, response.json()


class TestRun:
    def test_what_the_host_says_is_answered_and_written_down(self, client: Client, placed: Place) -> None:
        with ScriptedHost(ended(b"out\n", b"err\n", 3)) as host:
            job = placed(host)
            status, answer = post(
                client, f"{job.pk}/exec", {"command": "it's\n$x", "environment": {"A": "b"}}
            )
        assert status == 200
        exec_id = answer.pop("exec_id")
        assert answer == {
            "state": "ended", "exit_code": 3, "reason": "exited", "message": None, "stdout": "out\n",
            "stderr": "err\n", "stdout_bytes": 4, "stderr_bytes": 4, "truncated_bytes": 0,
            "next_offsets": {"stdout": 4, "stderr": 4},
        }  # fmt: skip
        opening = host.openings[0]
        assert (opening.exec_id, opening.command, opening.environment) == (exec_id, b"it's\n$x", {"A": "b"})
        row = Exec.objects.get(pk=exec_id)
        assert (row.origin, row.token.name, row.sandbox) == ("api", "test", held.box(job))  # type: ignore[union-attr]
        assert row.created_at < row.ended_at or row.started_at == row.ended_at  # type: ignore[operator]

    @pytest.mark.parametrize(
        ("outcome", "code", "reason", "answered"),
        [
            (Outcome.TIMED_OUT, 137, "timed_out", 124),
            (Outcome.SIGNALED, 143, "signaled", 143),
            (Outcome.KILLED, 137, "signaled", 137),
            (Outcome.OOM, 137, "oom", 137),
            (Outcome.LOST, None, "lost", None),
            (Outcome.LOST, 0, "lost", None),  # a host that guesses is not believed
        ],
    )
    def test_ends(
        self,
        client: Client,
        placed: Place,
        outcome: Outcome,
        code: int | None,
        reason: str,
        answered: int | None,
    ) -> None:
        with ScriptedHost(ended(code=code, outcome=outcome)) as host:
            status, answer = post(client, f"{placed(host).pk}/exec", {"command": "x", "timeout": 5})
        assert (status, answer["reason"], answer["exit_code"]) == (200, reason, answered)
        assert host.openings[0].timeout_ms == 5000

    def test_it_is_joined_where_it_was_cut(self, client: Client, placed: Place) -> None:
        with ScriptedHost(cut(b"one"), cut(b"two"), ended(b"onetwothree")) as host:
            _, answer = post(client, f"{placed(host).pk}/exec", {"command": "x"})
        assert (answer["stdout"], answer["truncated_bytes"]) == ("onetwothree", 0)
        assert [opening.stdout for opening in host.openings] == [0, 3, 6]
        assert len({opening.exec_id for opening in host.openings}) == 1

    def test_a_long_output_is_cut_and_said_to_be(self, client: Client, placed: Place) -> None:
        with ScriptedHost(ended(b"x" * 3_000_000)) as host:
            _, answer = post(client, f"{placed(host).pk}/exec", {"command": "x"})
        assert (len(answer["stdout"]), answer["next_offsets"]["stdout"]) == (2**20, 2**20)
        assert answer["truncated_bytes"] == 3_000_000 - 2**20

    def test_bytes_that_are_no_text(self, client: Client, placed: Place) -> None:
        with ScriptedHost(ended(b"\xff\x00")) as host:
            _, answer = post(client, f"{placed(host).pk}/exec", {"command": "x"})
        assert (answer["stdout"], answer["stdout_base64"], "stderr_base64" in answer) == (
            "�\0",
            "/wA=",
            False,
        )

    @pytest.mark.parametrize(
        ("play", "status", "code", "rows"),
        [
            ("no_sandbox", 503, "sandbox_gone", []),
            (failing("too_many_execs"), 503, "too_many_execs", []),
            (failing("not_started"), 409, "not_started", ["not_started"]),
            (failing("bad_command"), 400, "bad_command", ["not_started"]),
            (failing("unknown_state"), 504, "host_unreachable", [""]),
            ("not_awake", 504, "host_unreachable", []),
        ],
    )
    def test_refusals(
        self, client: Client, placed: Place, play: Any, status: int, code: str, rows: list[str]
    ) -> None:
        with ScriptedHost(play) as host:
            answered, answer = post(client, f"{placed(host).pk}/exec", {"command": "x"})
        assert (answered, answer["code"], answer["remediation"] != "") == (status, code, True)
        assert list(Exec.objects.values_list("reason", flat=True)) == rows

    def test_a_host_that_is_away(self, client: Client, placed: Place) -> None:
        status, answer = post(client, f"{placed(closed_port()).pk}/exec", {"command": "x"})
        assert (status, answer["code"], answer["retryable"]) == (504, "host_unreachable", True)
        assert not Exec.objects.exists()

    def test_the_same_key_joins_what_it_began(self, client: Client, placed: Place) -> None:
        with ScriptedHost(ended(b"once")) as host:
            job = placed(host)
            first = post(client, f"{job.pk}/exec", {"command": "x"}, "k")
            assert post(client, f"{job.pk}/exec", {"command": "x"}, "k") == first
            status, answer = post(client, f"{job.pk}/exec", {"command": "y"}, "k")
            assert (status, answer["code"]) == (409, "idempotency_key_reused")
        assert len({opening.exec_id for opening in host.openings}) == Exec.objects.count() == 1

    def test_what_its_host_has_forgotten_is_not_started_again(self, client: Client, placed: Place) -> None:
        with ScriptedHost(ended(b"once"), failing("no_exec")) as host:
            job = placed(host)
            post(client, f"{job.pk}/exec", {"command": "x"}, "k")
            status, answer = post(client, f"{job.pk}/exec", {"command": "x"}, "k")
            assert (status, answer["exit_code"], answer["truncated_bytes"]) == (200, 0, 4)
            status, gone = get(client, f"{job.pk}/execs/{answer['exec_id']}/output")
            assert (status, gone["code"]) == (410, "output_gone")
        assert [opening.command for opening in host.openings] == [b"x", None, None]

    def test_nobody_starts_what_is_being_given_up(self, client: Client, placed: Place) -> None:
        with ScriptedHost(failing("unknown_state")) as host:
            job = placed(host)
            post(client, f"{job.pk}/exec", {"command": "x"}, "k")
            Exec.objects.update(created_at=timezone.now() - timedelta(seconds=61))
            host.plays = [failing("no_exec")]
            host.openings.clear()
            status, answer = post(client, f"{job.pk}/exec", {"command": "x"}, "k")
        assert (status, "not known yet" in answer["error"]) == (504, True)
        assert [opening.command for opening in host.openings] == [None]

    def test_a_sandbox_that_ends_under_it_does_not_undo_it(self, client: Client, placed: Place) -> None:
        with ScriptedHost(cut(b"one"), "no_sandbox") as host:
            status, answer = post(client, f"{placed(host).pk}/exec", {"command": "x"})
        assert (status, answer["code"], "may have run" in answer["error"]) == (504, "host_unreachable", True)
        assert Exec.objects.get().state == ExecState.STARTING

    @pytest.mark.parametrize(
        "body",
        [{}, {"command": ""}, {"command": 7}, {"command": "a\0b"}, {"command": "x" * 102_401},
         {"command": "x", "timeout": 0}, {"command": "x", "environment": {"1": "x"}}],
    )  # fmt: skip
    def test_bad_input(self, client: Client, placed: Place, body: dict[str, Any]) -> None:
        assert post(client, f"{placed(closed_port()).pk}/exec", body)[0] == 400
        assert not Exec.objects.exists()

    def test_strangers(self, placed: Place) -> None:
        stranger = factories.client_of(factories.user())
        with ScriptedHost(ended()) as host:
            job = placed(host)
            for path in (f"{job.pk}/exec", f"{uuid.uuid4()}/exec"):
                assert post(stranger, path, {"command": "x"})[1]["code"] == "job_not_found"
        assert not host.openings


class TestSandbox:
    def test_none(self, client: Client, owner: Any) -> None:
        Agent()
        status, answer = post(client, f"{factories.job(owner).pk}/exec", {"command": "x"})
        assert (status, answer["code"]) == (409, "no_sandbox")

    def test_one_that_starts(self, client: Client, owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(running_view, "START_S", 0)
        Agent()
        status, answer = post(client, f"{held.job(owner).pk}/exec", {"command": "x"})
        assert (status, answer["code"], answer["retryable"]) == (503, "sandbox_starting", True)

    def test_one_that_left_nothing_to_come_back_from(self, client: Client, placed: Place) -> None:
        job = placed(closed_port())
        held.end(job.agent, held.box(job), "stopped")  # type: ignore[attr-defined]
        status, answer = post(client, f"{job.pk}/exec", {"command": "x"})
        assert (status, answer["code"]) == (409, "cannot_wake")
        assert not Sandbox.objects.exclude(state="ended").exists()

    def test_a_host_without_a_data_port(self, client: Client, owner: Any) -> None:
        job = held.idle(Agent(), owner)
        assert post(client, f"{job.pk}/exec", {"command": "x"})[1]["code"] == "no_data_port"
        assert not Exec.objects.exists()


class TestRecords:
    def test_a_list_asks_for_what_has_ended_meanwhile(self, client: Client, placed: Place) -> None:
        with ScriptedHost(cut(b"x"), "not_awake") as host:
            job = placed(host)
            exec_id = _left_behind(client, job)
            host.plays = [ended(b"x", code=4)]
            status, answer = get(client, f"{job.pk}/execs")
            assert status == 200
            assert [(row["exec_id"], row["state"], row["exit_code"]) for row in answer["execs"]] == [
                (exec_id, "ended", 4)
            ]
            assert host.openings[-1].command is None
            asked = len(host.openings)
            assert get(client, f"{job.pk}/execs/{exec_id}")[1]["reason"] == "exited"
            assert len(host.openings) == asked  # what has ended is not asked for again

    def test_one_that_runs(self, client: Client, placed: Place) -> None:
        with ScriptedHost(cut(b"x"), "not_awake") as host:
            job = placed(host)
            exec_id = _left_behind(client, job)
            host.plays = [running()]
            assert get(client, f"{job.pk}/execs/{exec_id}")[1]["state"] == "running"

    def test_a_sandbox_that_sleeps_is_not_woken_to_be_asked(self, client: Client, placed: Place) -> None:
        with ScriptedHost(cut(b"x"), "not_awake") as host:
            job = placed(host)
            exec_id = _left_behind(client, job)
            asked = len(host.openings)
            job.agent.report(factories.sandbox_asleep(held.box(job)))  # type: ignore[attr-defined]
            # "running" where what its host had said was noted before the connection was cut
            assert get(client, f"{job.pk}/execs/{exec_id}")[1]["state"] in ("starting", "running")
            assert len(host.openings) == asked

    def test_what_ended_with_its_sandbox_is_lost(self, client: Client, placed: Place) -> None:
        with ScriptedHost(cut(b"x"), "not_awake") as host:
            job = placed(host)
            exec_id = _left_behind(client, job)
        held.end(job.agent, held.box(job), "lost")  # type: ignore[attr-defined]
        answer = get(client, f"{job.pk}/execs/{exec_id}")[1]
        assert (answer["reason"], answer["exit_code"], answer["stdout_bytes"]) == ("lost", None, None)
        status, answer = get(client, f"{job.pk}/execs/{exec_id}/output")
        assert (status, answer["code"]) == (410, "output_gone")

    def test_whose_they_are(self, client: Client, placed: Place) -> None:
        with ScriptedHost(ended()) as host:
            job = placed(host)
            exec_id = post(client, f"{job.pk}/exec", {"command": "x"})[1]["exec_id"]
            other = factories.job()
            stranger = factories.client_of(other.owner)
            for path in (f"{job.pk}/execs", f"{job.pk}/execs/{exec_id}", f"{other.pk}/execs/{exec_id}"):
                assert get(stranger, path)[0] == 404
            for odd in ("x", str(uuid.uuid4()), exec_id + "0"):
                assert get(client, f"{job.pk}/execs/{odd}")[1]["code"] == "exec_not_found"
            assert get(stranger, f"{other.pk}/execs")[1] == {
                "execs": [],
                "total": 0,
                "page": 1,
                "page_size": 20,
            }

    def test_queries_of_a_list(
        self, client: Client, placed: Place, django_assert_max_num_queries: Any
    ) -> None:
        with ScriptedHost(ended()) as host:
            job = placed(host)
            for _ in range(5):
                post(client, f"{job.pk}/exec", {"command": "x"})
            with django_assert_max_num_queries(8):
                assert get(client, f"{job.pk}/execs")[1]["total"] == 5


class TestOutput:
    def test_pages(self, client: Client, placed: Place) -> None:
        with ScriptedHost(ended(b"x" * 1_500_000 + b"\xff", b"e")) as host:
            job = placed(host)
            path = f"{job.pk}/execs/{post(client, f'{job.pk}/exec', {'command': 'x'})[1]['exec_id']}/output"
            first = get(client, path)[1]
            assert (first["next_offset"], first["end"]) == (2**20, None)
            rest = get(client, f"{path}?offset={first['next_offset']}")[1]
            assert (rest["next_offset"], "data_base64" in rest) == (1_500_001, True)
            assert (rest["end"]["exit_code"], rest["end"]["stderr_bytes"]) == (0, 1)
            assert get(client, f"{path}?stream=stderr")[1]["data"] == "e"

    def test_what_there_is_by_now(self, client: Client, placed: Place) -> None:
        with ScriptedHost(cut(b"x"), "not_awake") as host:
            job = placed(host)
            exec_id = _left_behind(client, job)
            host.plays = [running(b"so far")]
            answer = get(client, f"{job.pk}/execs/{exec_id}/output?offset=3")[1]
        assert (answer["data"], answer["offset"], answer["next_offset"], answer["end"]) == ("far", 3, 6, None)

    @pytest.mark.parametrize("query", ["offset=-1", "offset=x", "stream=platform", "wait=x"])
    def test_bad_queries(self, client: Client, placed: Place, query: str) -> None:
        assert get(client, f"{placed(closed_port()).pk}/execs/{uuid.uuid4()}/output?{query}")[0] == 400


class TestSignal:
    def test_it_reaches_the_host(self, client: Client, placed: Place) -> None:
        with ScriptedHost(cut(b"x"), "not_awake") as host:
            job = placed(host)
            exec_id = _left_behind(client, job)
            host.plays = [running()]
            status, answer = post(client, f"{job.pk}/execs/{exec_id}/signal", {"signal": "sigint"})
        assert (status, answer) == (200, {"exec_id": exec_id, "signal": "INT"})
        assert host.heard == [Signal("INT")]

    def test_to_one_that_has_ended(self, client: Client, placed: Place) -> None:
        with ScriptedHost(ended()) as host:
            job = placed(host)
            exec_id = post(client, f"{job.pk}/exec", {"command": "x"})[1]["exec_id"]
            asked = len(host.openings)
            assert post(client, f"{job.pk}/execs/{exec_id}/signal", {"signal": "KILL"})[0] == 200
            assert len(host.openings) == asked

    def test_one_that_there_is_not(self, client: Client, placed: Place) -> None:
        path = f"{placed(closed_port()).pk}/execs/{uuid.uuid4()}/signal"
        assert post(client, path, {"signal": "STOP"})[0] == 400
        assert post(client, path, {"signal": "INT"})[0] == 404


def _left_behind(client: Client, job: Any) -> str:
    """An exec whose caller got no answer: its host was gone in the middle."""
    assert post(client, f"{job.pk}/exec", {"command": "x"})[1]["code"] == "host_unreachable"
    row = Exec.objects.get()
    assert row.state in (ExecState.STARTING, ExecState.RUNNING)  # whatever was heard before the cut
    return row.pk.hex
