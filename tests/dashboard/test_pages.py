"""The pages over HTTP: who sees what, and what it says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import Client

from accounts.models import User
from accounts.services import token_create
from jobs.models import Job
from tests.accounts.factories import PASSWORD, token_of, user
from tests.jobs import factories
from tests.servers import RedisServer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def browser(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


def text_of(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    return str(response.content.decode())


@pytest.mark.parametrize(
    "path", ["/", "/jobs/", "/jobs/x/", "/jobs/x/script.txt", "/jobs/x/output.txt", "/tokens/"]
)
def test_strangers_are_sent_to_sign_in(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 302
    assert response["Location"] == f"/login/?next={path}"


@pytest.mark.parametrize("page", ["", "script.txt", "output.txt"])
def test_someone_elses_job_looks_like_none(page: str) -> None:
    job = factories.job()
    client = browser(user())
    theirs = text_of(client, f"/jobs/{job.pk}/{page}", 404)
    none = text_of(client, f"/jobs/00000000-0000-4000-8000-000000000000/{page}", 404)
    assert "Nothing here" in theirs
    assert theirs.partition("Request")[0] == none.partition("Request")[0]


def test_someone_elses_job_cannot_be_run_again() -> None:
    job = factories.job()
    assert browser(user()).post(f"/jobs/{job.pk}/again/", {"key": "k"}).status_code == 404
    assert browser(user()).get(f"/jobs/?from={job.pk}").status_code == 404
    assert Job.objects.count() == 1


@pytest.mark.parametrize("path", ["/login/", "/jobs/", "/tokens/", "/nothing/"])
def test_policy_allows_nothing_inline(path: str) -> None:
    response = browser(user()).get(path) if path != "/login/" else Client().get(path)
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_list_shows_ones_own_jobs() -> None:
    owner = user()
    factories.job(owner, name="mine")
    factories.job(owner, script="#!/bin/sh\nmake everything\n")
    factories.job(name="theirs")
    page = text_of(browser(owner), "/jobs/")
    assert "mine" in page
    assert "make everything" in page
    assert "theirs" not in page


def test_list_filters_searches_and_pages() -> None:
    owner = user()
    agent = factories.Agent()
    agent.run(factories.job(owner, name="finished"))
    for number in range(55):
        factories.job(owner, name=f"batch-{number:02}", memory_mb=8192)
    client = browser(owner)
    assert "finished" not in text_of(client, "/jobs/")  # on the second page
    assert "finished" in text_of(client, "/jobs/?page=2")
    assert "batch-07" in text_of(client, "/jobs/?page=no")
    assert "finished" in text_of(client, "/jobs/?status=completed")
    assert "batch" not in text_of(client, "/jobs/?status=completed")
    assert "batch-12" in text_of(client, "/jobs/?q=ch-12&status=nonsense")
    assert "No job matches" in text_of(client, "/jobs/?q=nobody")
    assert 'href="?q=batch&amp;page=2"' in text_of(client, "/jobs/?q=batch")


def test_list_costs_the_same_for_many_jobs(django_assert_num_queries: Any) -> None:
    owner = user()
    agent = factories.Agent()
    client = browser(owner)
    for _ in range(25):
        agent.run(factories.job(owner))
    with django_assert_num_queries(5):  # session, user, count, jobs with hosts, workspaces
        client.get("/jobs/")


def test_empty_list_teaches() -> None:
    page = text_of(browser(user()), "/jobs/")
    assert "mags run &#x27;echo Hello from" in page
    assert "curl http://127.0.0.1:8080/api/v1/mags-jobs" in page


def test_job_page_by_id_and_by_name() -> None:
    owner = user()
    agent = factories.Agent()
    job = factories.job(owner, name="build", script="exit 3")
    agent.run(job, exit_code=3)
    for reference in (str(job.pk), "build"):
        page = text_of(browser(owner), f"/jobs/{reference}/")
        assert "Exited" in page
        assert agent.host.name in page
        assert f"/ws/jobs/{job.pk}/logs" in page
        assert "Stop job" in page  # the dialog; the button is gone
        assert 'data-opens="stop-dialog"' not in page


def test_waiting_job_says_why() -> None:
    owner = user()
    page = text_of(browser(owner), f"/jobs/{factories.job(owner).pk}/")
    assert "No host is online. The job starts as soon as one is." in page


def test_what_users_wrote_stays_text() -> None:
    owner = user()
    agent = factories.Agent()
    job = factories.job(owner, script=HOSTILE)
    lease = factories.lease_of(job)
    agent.report(
        factories.started(lease),
        factories.finished(lease, 0, outcome="start_failed", exit_code=None, message=HOSTILE),
    )
    token_of(owner)[0].__class__.objects.filter(owner=owner).update(name=HOSTILE)
    client = browser(owner)
    for path in ("/jobs/", f"/jobs/{job.pk}/", f"/jobs/?from={job.pk}", "/tokens/", f"/jobs/?q={HOSTILE}"):
        page = text_of(client, path)
        assert "alert(1)" in page
        assert "<script>alert" not in page
        assert "<img" not in page


def test_run_again_takes_everything_and_once() -> None:
    owner = user()
    job = factories.job(
        owner,
        name="build",
        script="env",
        environment={"A": "b"},
        vcpus=1,
        memory_mb=512,
        timeout_s=60,
        retries=2,
    )
    client = browser(owner)
    first = client.post(f"/jobs/{job.pk}/again/", {"key": "k1"})
    second = client.post(f"/jobs/{job.pk}/again/", {"key": "k1"})
    assert first["Location"] == second["Location"]
    made = Job.objects.exclude(pk=job.pk).get()
    assert first["Location"] == f"/jobs/{made.pk}/"
    for field in ("owner_id", "name", "script", "environment", "vcpus", "memory_mb", "timeout_s", "retries"):
        assert getattr(made, field) == getattr(job, field)
    client.post(f"/jobs/{job.pk}/again/", {"key": "k2"})
    assert Job.objects.count() == 3


def test_form_can_start_from_a_job() -> None:
    owner = user()
    job = factories.job(owner, name="build", script="make me", memory_mb=777, environment={"A": "<b>"})
    page = text_of(browser(owner), f"/jobs/?from={job.pk}")
    assert "1 environment variable are those of build" in page
    assert "&quot;environment&quot;: {&quot;A&quot;: &quot;&lt;b&gt;&quot;}" in page
    assert ">make me</textarea>" in page
    assert 'value="777"' in page


def test_script_as_a_file_is_only_text() -> None:
    owner = user()
    response = browser(owner).get(f"/jobs/{factories.job(owner, script=HOSTILE).pk}/script.txt")
    assert response.content.decode() == HOSTILE
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["X-Content-Type-Options"] == "nosniff"


def test_output_is_the_very_bytes() -> None:
    owner = user()
    agent = factories.Agent()
    data = b"plain\n\xff\xfe\x00 bytes \xf0\x9f\n" + "ünïcode\n".encode() * 3 + b"no newline"
    job = factories.job(owner)
    agent.run(job, output=data)
    response = browser(owner).get(f"/jobs/{job.pk}/output.txt")
    assert response["Content-Disposition"] == f'attachment; filename="mags-{job.pk}.log"'
    parts = getattr(response, "streaming_content")  # noqa: B009 - the stubs do not know it
    assert async_to_sync(_joined)(parts) == data


async def _joined(parts: AsyncIterator[bytes]) -> bytes:
    return b"".join([part async for part in parts])


def test_tokens_show_what_is_not_secret() -> None:
    owner = user()
    token, text = token_of(owner)
    page = text_of(browser(owner), "/tokens/")
    assert token.prefix in page
    assert text not in page
    token_of(user())
    assert page.count("data-revoke=") == 1


def test_tokens_come_in_pages() -> None:
    owner = user()
    names = [f"token-{number:02}" for number in range(26)]
    for name in names:
        token_create(owner, name)
    first, second = (text_of(browser(owner), path) for path in ("/tokens/", "/tokens/?page=2"))
    assert "1–25 of 26" in first
    assert [name for name in names if name in second] == names[:1]


def test_pages_are_not_kept_by_caches() -> None:
    assert "no-store" in browser(user()).get("/jobs/")["Cache-Control"]


class TestSignIn:
    def test_right_password_leads_to_next(self, client: Client) -> None:
        owner = user()
        answer = client.post(
            "/login/", {"username": owner.email.upper(), "password": PASSWORD, "next": "/tokens/"}
        )
        assert answer["Location"] == "/tokens/"
        assert client.get("/tokens/").status_code == 200

    @pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
    def test_next_stays_on_this_site(self, client: Client, target: str) -> None:
        answer = client.post("/login/", {"username": user().email, "password": PASSWORD, "next": target})
        assert answer["Location"] == "/"

    def test_wrong_password_and_unknown_person_read_alike(self, client: Client) -> None:
        for email in (user().email, "nobody@example.org"):
            page = client.post("/login/", {"username": email, "password": "wrong"}).content.decode()
            assert "That e-mail address and password do not match." in page
            assert f'value="{email}"' in page

    def test_missing_fields_are_named(self, client: Client) -> None:
        page = client.post("/login/", {}).content.decode()
        assert "Enter your e-mail address." in page
        assert "Enter your password." in page

    def test_inactive_person_stays_out(self, client: Client) -> None:
        page = client.post("/login/", {"username": user(is_active=False).email, "password": PASSWORD})
        assert page.status_code == 200

    def test_signed_in_people_go_on(self) -> None:
        assert browser(user()).get("/login/")["Location"] == "/"

    def test_guessing_is_slowed_down(self, client: Client, settings: Any) -> None:
        settings.LOGIN_ATTEMPTS_PER_MINUTE = 3
        owner = user()
        for _ in range(3):
            client.post("/login/", {"username": owner.email, "password": "wrong"})
        page = client.post("/login/", {"username": owner.email, "password": PASSWORD}).content.decode()
        assert "Too many attempts. Try again in" in page

    def test_sign_out_is_a_post(self) -> None:
        client = browser(user())
        assert client.get("/logout/").status_code == 405
        assert client.post("/logout/")["Location"] == "/login/"
        assert client.get("/jobs/").status_code == 302

    def test_forms_need_their_token(self) -> None:
        client = Client(enforce_csrf_checks=True)
        page = client.post("/login/", {"username": "a@example.org", "password": "x"})
        assert page.status_code == 403
        assert "This was not allowed" in page.content.decode()


def test_unknown_page_is_a_page(client: Client) -> None:
    assert "Nothing here" in text_of(client, "/nothing/", 404)
    assert client.get("/api/v1/nothing").json()["code"] == "not_found"


def test_failure_is_a_page_without_the_database(redis: RedisServer) -> None:
    from django.http import HttpRequest

    from core.api.handler import server_error

    request = HttpRequest()
    request.path = "/jobs/"
    assert "The server failed" in server_error(request).content.decode()
