"""Kept sandboxes that sleep: what hosts are wished, what they say, and what people see of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from jobs.models import JobEvent
from sandboxes.models import Sandbox
from tests.jobs import factories, held
from tests.jobs.factories import API, Agent, kinds, lease_of, sandbox_asleep, sandbox_awake, startup
from tests.jobs.held import box, fresh
from tests.shape import assert_error

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
OK = {"status": 200}


def wish(agent: Agent) -> dict[str, Any]:
    """The newest wish about the host's one sandbox."""
    [found] = agent.poll_all()["sandboxes"]
    sent: dict[str, Any] = found
    return sent


def detail(job: Any, kind: str) -> dict[str, Any]:
    event = JobEvent.objects.filter(job=job, kind=kind).order_by("-pk").first()
    assert event is not None, kinds(job)
    found: dict[str, Any] = event.detail
    return found


class TestWishes:
    def test_of_a_saved_sandbox(self, owner: User) -> None:
        agent = Agent()
        held.job(owner, kept=True, url_port=80)
        sleep = {"idle_s": 600.0, "cpu_percent": 2.0, "stop_s": 3600.0, "with_runs": True}
        found = wish(agent)
        assert (found["sleep"], found["wake"], found["startup"]) == (sleep, 0, None)

    def test_a_script_that_nobody_can_visit_is_not_frozen(self, owner: User) -> None:
        agent = Agent()
        held.job(owner, kept=True)
        assert wish(agent)["sleep"]["with_runs"] is False

    def test_what_is_not_saved_is_not_stopped(self, owner: User) -> None:
        agent = Agent()
        held.job(owner, kept=True, is_synced=False)
        assert wish(agent)["sleep"]["stop_s"] is None

    def test_what_ends_with_its_script_or_is_always_on_never_sleeps(self, owner: User) -> None:
        agent = Agent()
        held.job(owner)
        held.job(owner, "other", kept=True, no_sleep=True)
        assert [found["sleep"] for found in agent.poll_all()["sandboxes"]] == [None, None]

    def test_settings_of_zero_mean_never(self, owner: User, settings: Any) -> None:
        agent = Agent()
        settings.IDLE_STOP_S = 0
        held.job(owner, kept=True)
        assert wish(agent)["sleep"]["stop_s"] is None
        settings.IDLE_S = 0
        assert agent.boot()["sandboxes"][0]["sleep"] is None


class TestReports:
    def test_an_idle_sandbox_sleeps_and_wakes(self, owner: User, client: Client) -> None:
        agent = Agent()
        job = held.idle(agent, owner)
        asleep = sandbox_asleep(box(job))
        assert agent.report(asleep, asleep) == [OK, OK]
        shown = client.get(f"{API}/mags-jobs/{job.pk}").json()
        assert (shown["status"], shown["sandbox"], shown["vm_id"]) == ("completed", "sleeping", box(job).pk)
        assert detail(job, "slept")["evidence"]["idle_ms"] == 600_000
        assert agent.report(sandbox_awake(box(job)), sandbox_awake(box(job))) == [OK, OK]
        assert fresh(job).sandbox == "running"
        assert detail(job, "woke") == {"cause": "connection", "ms": 3}
        assert (kinds(job).count("slept"), kinds(job).count("woke")) == (1, 1)

    def test_a_script_that_runs_sleeps_with_it(self, owner: User) -> None:
        agent = Agent()
        job = held.job(owner, kept=True, url_port=80)
        sandbox = held.start(agent, job)
        assert agent.report(sandbox_asleep(sandbox, runs=1)) == [OK]
        assert (fresh(job).status, fresh(job).sandbox) == ("sleeping", "sleeping")
        assert agent.report(sandbox_awake(sandbox)) == [OK]
        assert (fresh(job).status, fresh(job).sandbox) == ("running", "running")
        agent.report(sandbox_asleep(sandbox, runs=1))
        held.finish(agent, job, outcome="oom", exit_code=137)  # killed as it was
        assert (fresh(job).status, fresh(job).sandbox) == ("error", "sleeping")

    def test_a_script_that_wakes_and_ends_is_told_of_at_once(self, owner: User) -> None:
        agent = Agent()
        job = held.job(owner, kept=True, url_port=80)
        sandbox = held.start(agent, job)
        agent.report(sandbox_asleep(sandbox, runs=1))
        assert agent.report(sandbox_awake(sandbox), factories.finished(lease_of(job), 0)) == [OK, OK]
        assert (fresh(job).status, fresh(job).sandbox) == ("completed", "running")

    def test_a_run_enters_one_that_sleeps(self, owner: User) -> None:
        agent = Agent()
        job = held.idle(agent, owner)
        agent.report(sandbox_asleep(box(job)))
        run = held.job(owner)
        assert agent.report(sandbox_awake(box(job), cause="run"), factories.started(lease_of(run))) == [
            OK,
            OK,
        ]
        assert (fresh(run).sandbox, fresh(job).sandbox) == ("running", "running")
        assert detail(run, "woke")["cause"] == "run"

    def test_words_about_one_that_ends_change_nothing(self, owner: User, client: Client) -> None:
        agent = Agent()
        job = held.idle(agent, owner)
        client.post(f"{API}/mags-jobs/{job.pk}/stop")
        assert agent.report(sandbox_asleep(box(job))) == [OK]
        assert box(job).asleep_since is None
        held.end(agent, box(job), "stopped")
        assert agent.report(sandbox_asleep(box(job)))[0]["code"] == "stale_lease"

    @pytest.mark.parametrize("wrong", [{"ms": -1}, {"cause": "magic"}, {"ms": None}])
    def test_what_is_malformed_is_refused(self, owner: User, wrong: dict[str, Any]) -> None:
        agent = Agent()
        job = held.idle(agent, owner)
        assert agent.report(sandbox_awake(box(job), **wrong))[0]["status"] == 400

    def test_the_startup_command_is_told_of_once(self, owner: User) -> None:
        agent = Agent()
        job = held.idle(agent, owner)
        begun = startup(box(job), "started")
        over = startup(box(job), "exited", exit_code=1, reason="exited", again_s=2.0)
        assert agent.report(begun, begun, over) == [OK] * 3
        assert kinds(job).count("startup_started") == 1
        assert detail(job, "startup_exited") == {
            "exec_id": "ab" * 16, "attempt": 1, "exit_code": 1, "reason": "exited", "again_s": 2.0,
        }  # fmt: skip


class TestSettings:
    def test_no_sleep_reaches_the_sandbox_that_is_there(self, owner: User, client: Client) -> None:
        agent = Agent()
        job = held.idle(agent, owner)
        agent.poll_all()
        path = f"{API}/mags-jobs/{job.pk}"
        answer = client.patch(path, {"no_sleep": True}, content_type="application/json")
        assert (answer.status_code, answer.json()["no_sleep"]) == (200, True)
        assert wish(agent)["sleep"] is None
        client.patch(path, {"no_sleep": False}, content_type="application/json")
        assert wish(agent)["sleep"]["idle_s"] == 600

    def test_a_startup_command_is_shown_and_taken_away(self, owner: User, client: Client) -> None:
        job = held.idle(Agent(), owner)
        path = f"{API}/mags-jobs/{job.pk}"
        told = client.patch(path, {"startup_command": "./serve"}, content_type="application/json").json()
        assert (told["startup_command"], told["no_sleep"]) == ("./serve", False)
        told = client.patch(path, {"startup_command": ""}, content_type="application/json").json()
        assert told["startup_command"] is None

    @pytest.mark.parametrize("field", ["no_sleep", "startup_command", "url"])
    def test_are_refused_without_persistent(self, client: Client, field: str) -> None:
        body = {"script": "true", field: "x" if field == "startup_command" else True}
        answer = client.post(f"{API}/mags-jobs", body, content_type="application/json")
        assert field in assert_error(answer, 400, "not_persistent")["fields"]

    @pytest.mark.parametrize("field", ["no_sleep", "startup_command"])
    def test_cannot_be_changed_of_another_job(self, owner: User, client: Client, field: str) -> None:
        job = factories.job(owner)
        body = {field: "x" if field == "startup_command" else True}
        answer = client.patch(f"{API}/mags-jobs/{job.pk}", body, content_type="application/json")
        assert field in assert_error(answer, 400, "not_persistent")["fields"]

    def test_are_the_newest_jobs(self, owner: User, client: Client) -> None:
        agent = Agent()
        first, later = held.idle(agent, owner), held.job(owner, kept=True)
        body = {"no_sleep": True}
        answer = client.patch(f"{API}/mags-jobs/{first.pk}", body, content_type="application/json")
        assert str(later.pk) in assert_error(answer, 409, "superseded")["remediation"]

    def test_by_a_name_are_those_of_the_sandbox_behind_it(self, owner: User, client: Client) -> None:
        """Whatever ran in it last, under the same name."""
        agent = Agent()
        first, run = held.idle(agent, owner, name="w"), held.job(owner, name="w")
        held.start(agent, run)
        held.finish(agent, run)
        for path in (f"{API}/mags-jobs/w", f"{API}/mags-jobs/{first.pk}"):
            answer = client.patch(path, {"no_sleep": True}, content_type="application/json")
            assert (answer.status_code, answer.json()["id"]) == (200, str(first.pk))
        renamed = client.patch(f"{API}/mags-jobs/w", {"name": "x"}, content_type="application/json").json()
        assert renamed["id"] == str(run.pk)

    def test_a_command_has_a_limit(self, client: Client) -> None:
        body = {"script": "true", "persistent": True, "workspace_id": "w", "startup_command": "x" * 16385}
        answer = client.post(f"{API}/mags-jobs", body, content_type="application/json")
        assert "startup_command" in assert_error(answer, 400)["fields"]

    def test_stay_as_they_were_for_a_run_that_leaves_them_out(self, owner: User) -> None:
        agent = Agent()
        first = held.idle(agent, owner, no_sleep=True, startup_command="./serve", environment={"A": "1"})
        run = held.job(owner, kept=True, environment={"B": "2"})
        assert (run.no_sleep, run.startup_command, run.startup_environment) == (True, "./serve", {"A": "1"})
        assert box(first).sleeps is False
        held.start(agent, run)
        held.finish(agent, run)
        last = held.job(owner, kept=True, no_sleep=False, startup_command="")
        assert (last.no_sleep, last.startup_command, box(last).sleeps) == (False, "", True)

    def test_aliases_in_the_environment(self, owner: User, client: Client) -> None:
        body = {"persistent": True, "workspace_id": "w"}
        environment = {"__MAGS_IDLE_MIN": "0.5", "__MAGS_KEEP_ALIVE": "0", "A": "1"}
        factories.submit(client, environment=environment, **body)
        sandbox = Sandbox.objects.get()
        assert (sandbox.idle_s, sandbox.sleeps) == (30, True)
        factories.submit(client, environment={"__MAGS_KEEP_ALIVE": "1"}, **body | {"workspace_id": "v"})
        assert Sandbox.objects.get(workspace__name="v").sleeps is False
        status, answer = factories.submit(client, environment={"__MAGS_IDLE_MIN": "soon"}, **body)
        assert (status, list(answer["fields"])) == (400, ["environment.__MAGS_IDLE_MIN"])
        assert factories.submit(client, environment={"__MAGS_IDLE_MIN": "soon"})[0] == 202  # it never sleeps
