"""Held sandboxes whose files cannot be restored, or cannot be saved."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from jobs.models import Job, JobEvent
from jobs.services import sweep
from sandboxes.models import Sandbox
from tests.jobs import factories, held
from tests.jobs.factories import API, Agent, client_of
from tests.jobs.held import box, fresh, workspace_of
from tests.workspaces.factories import saved
from workspaces.models import Version

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def lost(version: Version) -> dict[str, str]:
    return {"manifest": version.manifest, "object": "0" * 64}


def damaged(version: Version) -> bool:
    return Version.objects.get(pk=version.pk).damaged_at is not None


class TestDamage:
    def test_the_job_that_met_it_ends_for_that_after_its_run_was_reported(self, bucket: str) -> None:
        """A host reports the run first, as one that did not start: that alone would be tried again."""
        agent, owner = Agent(), factories.user()
        good, bad = saved(owner, versions=2)
        job = held.job(owner, kept=True)
        held.finish(agent, job, outcome="start_failed", exit_code=None)
        assert fresh(job).status == "accepted"
        held.end(agent, box(job), "damaged", message="An object is missing.", damaged=lost(bad))
        ended = fresh(job)
        assert (ended.status, ended.reason, ended.exit_code) == ("error", "workspace_damaged", None)
        assert ended.message == (
            f"An object is missing. Restore version {good.number}, or delete the workspace."
        )
        assert (workspace_of(owner).holder, held.live_leases(job)) == ("", 0)
        assert workspace_of(owner).damaged_at is not None

    def test_one_that_waits_for_the_workspace_ends_too(self, bucket: str) -> None:
        agent, owner = Agent(), factories.user()
        [version] = saved(owner)
        first = held.job(owner)
        held.finish(agent, first, outcome="stopped", exit_code=143)
        second = held.job(owner)
        assert fresh(second).reason == "saving"
        held.end(agent, box(first), "damaged", message="Gone.", damaged=lost(version))
        assert (fresh(second).status, fresh(second).reason) == ("error", "workspace_damaged")
        assert fresh(second).message.startswith("Gone. No version of it is whole")

    def test_a_base_is_marked_for_all_that_stand_on_it(self, bucket: str) -> None:
        agent, owner = Agent(), factories.user()
        [version] = saved(owner, "b")
        job = factories.job(owner, base="b")
        held.end(agent, box(job), "damaged", message="Gone.", damaged=lost(version))
        assert (fresh(job).reason, damaged(version)) == ("workspace_damaged", True)
        assert workspace_of(owner, "b").damage == "Gone."

    @pytest.mark.parametrize("stands_on", ["workspace", "base"])
    def test_a_host_can_speak_of_nothing_that_its_sandbox_does_not_begin_as(
        self, bucket: str, stands_on: str
    ) -> None:
        agent, owner, other = Agent(), factories.user(), factories.user()
        [mine], [beside], [strangers] = saved(owner), saved(owner, "beside"), saved(other)
        for version in (beside, strangers):
            job = held.job(owner) if stands_on == "workspace" else factories.job(owner, base="w")
            held.end(agent, box(job), "damaged", message="Lies.", damaged=lost(version))
        assert [damaged(version) for version in (mine, beside, strangers)] == [False] * 3
        assert workspace_of(other).damaged_at is None


def measured(sandbox: Sandbox, kind: str | None = None, **fields: Any) -> dict[str, Any]:
    trouble = None if kind is None else {"since": factories.now_ms() - 1000, "kind": kind}
    return {
        "type": "volume", "sandbox_id": sandbox.pk, "epoch": sandbox.epoch, "tree_bytes": 1, "dirty": True,
        "sync": 0, "trouble": trouble,
    } | fields  # fmt: skip


def events(job: Job) -> list[str]:
    return list(JobEvent.objects.filter(job=job, kind__startswith="save_").values_list("kind", flat=True))


class TestUnsaved:
    def test_since_when_is_told_once_until_it_works(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.idle(agent, owner)
        for kind in ("unreachable", "unreachable"):
            assert agent.report(measured(box(job), kind)) == [{"status": 200}]
        since = fresh(job).unsaved_since
        assert since is not None
        assert since < timezone.now()
        assert events(job) == ["save_failing"]
        assert agent.report(measured(box(job))) == [{"status": 200}]
        assert (fresh(job).unsaved_since, events(job)) == (None, ["save_failing", "save_works"])

    def test_who_enters_meanwhile_is_told_too(self) -> None:
        agent, owner = Agent(), factories.user()
        first = held.idle(agent, owner)
        agent.report(measured(box(first), "unreachable"))
        second = held.job(owner, kept=True)
        assert box(second).pk == box(first).pk
        assert fresh(second).unsaved_since == fresh(first).unsaved_since is not None
        agent.report(measured(box(first)))
        assert (fresh(first).unsaved_since, fresh(second).unsaved_since) == (None, None)

    def test_who_comes_after_is_told_why_it_waits(self) -> None:
        agent, owner = Agent(), factories.user()
        first = held.job(owner)
        sandbox = held.start(agent, first)
        held.finish(agent, first)
        second = held.job(owner)
        plain = fresh(second).message
        agent.report(measured(sandbox, "refused"))
        assert (fresh(second).reason, fresh(second).unsaved_since) == ("saving", None)
        assert "could not save the workspace since" in fresh(second).message
        assert "administrator" in fresh(second).message
        agent.report(measured(sandbox))
        sweep(is_reachable=True)
        assert fresh(second).message == plain
        held.end(agent, sandbox)
        assert box(second).pk != sandbox.pk

    def test_who_deletes_the_workspace_is_told_what_would_be_lost(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.idle(agent, owner)
        for said, kind in (("", None), ("Its last changes are on one host only", "unreachable")):
            agent.report(measured(box(job), kind))
            refused = client_of(owner).delete(f"{API}/mags-workspaces/w")
            assert (refused.status_code, refused.json()["code"]) == (409, "workspace_in_use")
            assert refused.json()["error"].startswith(f"The workspace w is already in use. {said}".strip())
            page = self._page(owner)
            assert ("Its last changes are on one host only" in page) == bool(kind)

    def _page(self, owner: User) -> str:
        browser = Client()
        browser.force_login(owner)
        return browser.get("/workspaces/w/").content.decode()

    def test_the_end_of_the_sandbox_ends_it(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.idle(agent, owner)
        agent.report(measured(box(job), "failed"))
        held.end(agent, box(job), "lost")
        assert fresh(job).unsaved_since is None

    @pytest.mark.parametrize(
        "trouble", [{"since": 1}, {"since": -1, "kind": "failed"}, {"since": 1, "kind": "x"}]
    )
    def test_nonsense_is_refused(self, trouble: dict[str, Any]) -> None:
        agent, owner = Agent(), factories.user()
        job = held.idle(agent, owner)
        [result] = agent.report(measured(box(job), trouble=trouble))
        assert (result["status"], fresh(job).unsaved_since) == (400, None)

    def test_a_clock_that_is_wrong_is_brought_in_line(self) -> None:
        agent, owner = Agent(), factories.user()
        job = held.idle(agent, owner)
        trouble = {"since": factories.now_ms() + 10**9, "kind": "failed"}
        agent.report(measured(box(job), trouble=trouble))
        since = fresh(job).unsaved_since
        assert since is not None
        assert since <= timezone.now()
