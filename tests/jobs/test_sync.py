"""Versions on demand: the wish, its way to the host, and the receipt."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from django.db import connection

from accounts.models import User
from accounts.services import token_create
from jobs.errors import SyncLost
from jobs.models import Job, JobEvent
from jobs.selectors import receipt_of
from jobs.services import job_stop, job_sync
from tests.jobs import factories, held
from tests.jobs.factories import API, Agent, client_of, kinds
from tests.jobs.held import box, fresh, workspace_of
from tests.jobs.test_held_loss import commit
from tests.workspaces.factories import put, saved, snapshot

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def save(agent: Agent, owner: User, job: Job, parent: str | None = None, **fields: Any) -> dict[str, Any]:
    """The host's part of a version."""
    made = snapshot(parent=parent)
    put(owner, made)
    status, receipt = commit(agent, box(job), made.sha256, parent, **fields)
    assert status == 200, receipt
    found: dict[str, Any] = receipt
    return found


def sync(owner: User, job: Job | str) -> tuple[int, dict[str, Any]]:
    response = client_of(owner).post(f"{API}/mags-jobs/{job}/sync", content_type="application/json")
    return response.status_code, response.json()


def test_a_sync_answers_the_receipt_once_the_version_is_durable(bucket: str, web: Any) -> None:
    agent, owner = Agent(), factories.user()
    job = held.idle(agent, owner, name="trainer")
    agent.poll_all()
    _, token = token_create(owner, "test")
    headers = {"Authorization": f"Bearer {token}"}
    with ThreadPoolExecutor(1) as pool:
        address = f"{web.url}{API}/mags-jobs/trainer/sync"
        asking = pool.submit(httpx.post, address, headers=headers, timeout=50)
        while not (wishes := agent.poll_all(wait=5)["sandboxes"]):
            pass
        [wish] = wishes
        assert (wish["sync"], wish["volume"]["is_saved"]) == (1, True)
        # A version that answers no wish is not what was asked for.
        first = save(agent, owner, job)
        second = save(agent, owner, job, first["manifest"], reason="sync", sync=1)
        response = asking.result()
    answer = response.json()
    assert (response.status_code, answer["workspace_id"], answer["version"]) == (200, "w", 2)
    assert (answer["sha256"], answer["bytes"]) == (second["sha256"], second["bytes"])
    assert answer["synced_at"].endswith("Z")
    assert kinds(job)[-3:] == ["sync_requested", "checkpoint", "synced"]
    connection.close()


def test_durable_at_is_the_jobs_own(bucket: str) -> None:
    agent, owner = Agent(), factories.user()
    job = held.idle(agent, owner)
    assert fresh(job).durable_at is None
    receipt = save(agent, owner, job)
    before = fresh(job)
    assert before.durable_at is not None
    assert round(before.durable_at.timestamp() * 1000) == receipt["durable_at"]
    shown = client_of(owner).get(f"{API}/mags-jobs/{job.pk}").json()
    assert shown["durable_at"].endswith("Z")
    later = held.job(owner)
    assert later.durable_at is None
    held.start(agent, later)
    save(agent, owner, job, receipt["manifest"])
    assert fresh(later).durable_at is not None
    assert fresh(job).durable_at == before.durable_at  # all of it was durable then


def test_the_same_version_twice_is_one_event(bucket: str) -> None:
    agent, owner = Agent(), factories.user()
    job = held.idle(agent, owner)
    made = snapshot()
    put(owner, made)
    for _ in range(2):
        assert commit(agent, box(job), made.sha256, None)[0] == 200
    assert kinds(job).count("checkpoint") == 1


def test_what_did_not_change_needs_no_version(bucket: str) -> None:
    owner, agent = factories.user(), Agent()
    [version] = saved(owner)
    job = held.idle(agent, owner)
    wish = job_sync(job)
    dirty = agent.report(factories.volume(box(job), dirty=True, sync=wish))
    assert (dirty, box(job).sync_done) == ([{"status": 409, "code": "not_saved"}], 0)
    assert agent.report(factories.volume(box(job), sync=wish, tree_bytes=7)) == [{"status": 200}]
    assert (box(job).sync_done, box(job).tree_bytes) == (wish, 7)
    assert fresh(job).durable_at == version.durable_at


def test_a_workspace_that_was_never_saved_needs_a_version() -> None:
    agent, owner = Agent(), factories.user()
    job = held.idle(agent, owner)
    wish = job_sync(job)
    assert agent.report(factories.volume(box(job), sync=wish)) == [{"status": 409, "code": "not_saved"}]
    assert box(job).sync_done == 0


def test_no_host_answers_a_wish_that_nobody_made(bucket: str) -> None:
    agent, owner = Agent(), factories.user()
    job = held.idle(agent, owner)
    save(agent, owner, job, sync=7)
    assert (box(job).sync_wished, box(job).sync_done) == (0, 0)


def test_a_host_that_is_slow_is_waited_for_and_then_said_so(bucket: str, settings: Any) -> None:
    settings.WAIT_LIMIT_S = 1
    agent, owner = Agent(), factories.user()
    job = held.idle(agent, owner)
    status, answer = sync(owner, job.pk)
    assert (status, answer["code"], answer["retryable"]) == (503, "not_saved_yet", True)
    assert box(job).sync_wished == 1


def test_without_a_sandbox_the_head_is_the_receipt(bucket: str) -> None:
    agent, owner = Agent(), factories.user()
    job = held.idle(agent, owner)
    receipt = save(agent, owner, job)
    job_stop(job)
    held.end(agent, box(job), "stopped")
    status, answer = sync(owner, "w")
    assert (status, answer["version"], answer["sha256"]) == (200, 1, receipt["sha256"])


def test_who_asks_after_the_loss_gets_no_older_receipt(bucket: str) -> None:
    """Perhaps it is the same call again, whose first answer was lost."""
    agent, owner = Agent(), factories.user()
    job = held.idle(agent, owner)
    save(agent, owner, job)
    held.end(agent, box(job), "lost")
    status, answer = sync(owner, job.pk)
    assert (status, answer["code"]) == (409, "sync_lost")


def test_a_sandbox_that_ended_unsaved_has_no_receipt() -> None:
    agent, owner = Agent(), factories.user()
    job = held.idle(agent, owner, is_synced=False)
    job_stop(job)
    held.end(agent, box(job), "stopped")
    assert sync(owner, job.pk)[1]["code"] == "nothing_to_save"


@pytest.mark.parametrize(
    ("reason", "is_synced", "is_lost"),
    [("stopped", True, False), ("lost", True, True), ("stopped", False, True)],
)
def test_an_older_version_is_no_receipt_for_what_was_lost(
    bucket: str, reason: str, *, is_synced: bool, is_lost: bool
) -> None:
    agent, owner = Agent(), factories.user()
    job = held.idle(agent, owner, is_synced=is_synced)
    save(agent, owner, job)
    sandbox, wish = box(job), job_sync(job)
    assert receipt_of(job, sandbox.pk, wish) is None
    held.end(agent, sandbox, reason)
    if is_lost:
        with pytest.raises(SyncLost):
            receipt_of(job, sandbox.pk, wish)
    else:  # its last version was made after everything
        found = receipt_of(job, sandbox.pk, wish)
        assert found is not None
        assert found.number == 1


@pytest.mark.parametrize("spec", [{}, {"is_persistent": True}])
def test_without_a_workspace_there_is_nothing_to_save(spec: dict[str, Any]) -> None:
    Agent()
    owner = factories.user()
    status, answer = sync(owner, factories.job(owner, **spec).pk)
    assert (status, answer["code"]) == (409, "nothing_to_save")


def test_a_stranger_sees_no_job() -> None:
    agent, owner = Agent(), factories.user()
    job = held.idle(agent, owner)
    assert sync(factories.user(), job.pk)[0] == 404
    assert box(job).sync_wished == 0


@pytest.mark.parametrize(
    ("spec", "is_saved"),
    [({}, False), ({"kept": True}, True), ({"kept": True, "is_synced": False}, False)],
)
def test_what_is_saved_by_itself(spec: dict[str, Any], is_saved: bool) -> None:
    agent, owner = Agent(), factories.user()
    held.job(owner, **spec)
    [wish] = agent.poll_all()["sandboxes"]
    assert wish["volume"]["is_saved"] is is_saved
    assert workspace_of(owner).is_saved is is_saved


@pytest.mark.parametrize("is_synced", [True, False])
def test_a_saved_workspace_is_saved_again_unless_told_otherwise(bucket: str, is_synced: bool) -> None:
    owner, agent = factories.user(), Agent()
    [version] = saved(owner)
    held.job(owner, is_synced=is_synced)
    [wish] = agent.poll_all()["sandboxes"]
    assert (wish["volume"]["head"], wish["volume"]["is_saved"]) == (version.manifest, is_synced)


def test_the_restore_is_in_the_timeline(bucket: str) -> None:
    owner, agent = factories.user(), Agent()
    saved(owner)
    job = held.job(owner)
    held.start(agent, job)
    event = JobEvent.objects.get(job=job, kind="restored")
    assert event.detail == {"version": 1, "base": None, "assigned": 1, "restored": 2, "started": 3}
