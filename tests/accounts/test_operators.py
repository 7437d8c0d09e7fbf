"""What operators do in /admin/, and that its lists stay quick."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import SecurityEvent, User
from core.redis import client as redis_client
from hosts.models import HostEvent
from jobs.models import Job, JobEvent, Lease
from tests.accounts import factories
from tests.jobs import factories as jobs
from tests.jobs import held
from tests.workspaces.factories import saved
from workspaces import keys, objectstore
from workspaces.models import Workspace
from workspaces.tasks import check

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]
ROWS = 1000
LISTS = [
    *("accounts/user", "accounts/apitoken", "accounts/securityevent", "hosts/host", "files/upload"),
    *("jobs/job", "jobs/lease", "jobs/jobevent", "execs/exec", "sandboxes/sandbox", "ssh/door"),
    *("workspaces/workspace", "workspaces/version", "aliases/alias"),
]


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(factories.user(is_staff=True, is_superuser=True))
    return client


def act(admin: Client, model: str, action: str, *rows: Any) -> str:
    form = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    answer = admin.post(f"/admin/{model}/", form, follow=True)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_suspended_people_are_out_at_once_and_restored_ones_are_in(admin: Client) -> None:
    owner = factories.user()
    browser, program = factories.browser_of(owner), factories.client_of(owner)
    assert "1 suspended." in act(admin, "accounts/user", "suspend", owner)
    assert browser.get("/jobs/").status_code == 302
    assert program.get("/api/v1/auth/me").status_code == 401
    assert "0 suspended." in act(admin, "accounts/user", "suspend", owner)
    assert "1 restored." in act(admin, "accounts/user", "restore", owner)
    assert program.get("/api/v1/auth/me").status_code == 200
    assert browser.get("/jobs/").status_code == 302  # a session from before does not come back
    kinds = SecurityEvent.objects.filter(user=owner, kind__startswith="user_").order_by("pk")
    assert list(kinds.values_list("kind", flat=True)) == ["user_suspended", "user_restored"]


def test_nobody_suspends_themselves(admin: Client) -> None:
    me = User.objects.get(is_superuser=True)
    assert "You cannot suspend yourself." in act(admin, "accounts/user", "suspend", me)
    me.refresh_from_db()
    assert me.is_active


def test_who_owns_something_is_not_deleted(admin: Client) -> None:
    owner, other = factories.user(), factories.user()
    jobs.job(owner)
    for person, status in ((owner, 403), (other, 302)):
        assert admin.post(f"/admin/accounts/user/{person.pk}/delete/", {"post": "yes"}).status_code == status
    assert User.objects.filter(pk=owner.pk).exists()
    assert not User.objects.filter(pk=other.pk).exists()
    assert "No action selected" in act(admin, "accounts/user", "delete_selected", owner)


def test_a_token_is_revoked_not_deleted(admin: Client) -> None:
    owner = factories.user()
    token, text = factories.token_of(owner)
    assert admin.post(f"/admin/accounts/apitoken/{token.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "1 revoked." in act(admin, "accounts/apitoken", "revoke", token)
    assert factories.bearer(text).get("/api/v1/auth/me").json()["code"] == "token_revoked"


def test_hosts_are_drained_and_revoked(admin: Client) -> None:
    host = jobs.Agent().host
    for action in ("drain", "undrain", "revoke"):
        act(admin, "hosts/host", action, host)
    events = HostEvent.objects.filter(host=host).exclude(by="").order_by("pk")
    assert list(events.values_list("kind", flat=True)) == ["drained", "undrained", "revoked"]
    page = admin.get(f"/admin/hosts/host/{host.pk}/change/").content.decode()
    assert "revoked" in page
    assert admin.post(f"/admin/hosts/host/{host.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_job_is_found_and_shows_its_history_but_not_its_secrets(admin: Client) -> None:
    agent = jobs.Agent()
    job = jobs.job(jobs.user(), name="findme", script="echo SECRET", environment={"KEY": "SECRET"})
    agent.run(job)
    for text in (str(job.pk), "findme", job.owner.email):
        assert str(job.pk) in admin.get("/admin/jobs/job/", {"q": text}).content.decode()
    page = admin.get(f"/admin/jobs/job/{job.pk}/change/").content.decode()
    assert agent.host.name in page
    assert "submitted" in page
    assert "SECRET" not in page


def test_a_page_leads_back_to_the_dashboard(admin: Client) -> None:
    page = admin.get("/admin/").content.decode()
    assert 'href="/hosts/health/"' in page
    assert "style=" not in page
    assert "onclick=" not in page


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("bucket")
def test_workspaces_are_checked(admin: Client) -> None:
    owner = factories.user()
    version = saved(owner)[0]
    workspace = Workspace.objects.get()
    assert "no problems." in act(admin, "workspaces/workspace", "check_sizes", workspace)
    objectstore.delete([keys.object_key(keys.tenant(owner.pk), version.manifest)])
    assert "is missing" in act(admin, "workspaces/workspace", "check_sizes", workspace)
    assert "1 to check." in act(admin, "workspaces/workspace", "check_bytes", workspace)
    (waiting,) = redis_client().lrange("celery", 0, -1)  # for the worker to do
    assert b"workspaces.check" in waiting
    check(str(workspace.pk), User.objects.get(is_superuser=True).pk)
    assert "is missing" in LogEntry.objects.get().get_change_message()
    history = admin.get(f"/admin/workspaces/workspace/{workspace.pk}/history/").content.decode()
    assert "is missing" in history
    assert admin.get(f"/admin/workspaces/workspace/{workspace.pk}/change/").status_code == 200


def test_lists_ask_as_little_for_a_thousand_rows_as_for_one(admin: Client) -> None:
    agent = jobs.Agent()
    job = held.idle(agent, jobs.user())
    counts = {model: _queries(admin, model) for model in LISTS}
    _multiply(job)
    for model in LISTS:
        assert _queries(admin, model) <= counts[model] + 1, model
    assert max(counts.values()) < 12


def _queries(admin: Client, model: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert admin.get(f"/admin/{model}/").status_code == 200
    return len(queries)


def _multiply(job: Job) -> None:
    people = User.objects.bulk_create(User(email=f"many{n}@example.org") for n in range(ROWS))
    made = Job.objects.bulk_create(Job(owner=owner, script="true") for owner in people)
    Workspace.objects.bulk_create(Workspace(owner=owner, name="w", disk_gb=1) for owner in people)
    JobEvent.objects.bulk_create(JobEvent(job=one, kind="submitted") for one in made)
    host = Lease.objects.get(job=job).host
    Lease.objects.bulk_create(
        Lease(job=one, host=host, epoch=1, sandbox_id=f"{n:016}", revision=1, memory_mb=1)
        for n, one in enumerate(made)
    )
