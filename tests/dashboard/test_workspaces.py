"""The pages of workspaces over HTTP: who sees what, and what each form does and says."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from accounts.models import User
from tests.accounts.factories import browser_of, user
from tests.dashboard.saved import damage, workspace_of
from tests.jobs import factories
from tests.workspaces.factories import hold_on, saved
from workspaces import hooks
from workspaces.models import Version, Workspace
from workspaces.services import workspace_create

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@pytest.fixture
def owner() -> User:
    return user()


@pytest.fixture
def client(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


def text_of(client: Client, path: str, status: int = 200) -> str:
    return said(client.get(path), status)


def said(response: Any, status: int = 200) -> str:
    assert isinstance(response, HttpResponse)
    assert response.status_code == status
    return response.content.decode()


def send(client: Client, workspace: str, action: str, /, **fields: Any) -> Any:
    return client.post(f"/workspaces/{workspace}/", {"action": action, **fields})


class TestList:
    @pytest.mark.parametrize("path", ["/workspaces/", "/workspaces/w/"])
    def test_strangers_are_sent_to_sign_in(self, path: str) -> None:
        assert Client().get(path)["Location"] == f"/login/?next={path}"

    def test_shows_ones_own(self, client: Client, owner: User) -> None:
        workspace_of(owner, "mine", versions=3)
        workspace_of(owner, "local")
        workspace_of(user(), "theirs", versions=1)
        page = text_of(client, "/workspaces/")
        assert 'href="/workspaces/mine/"' in page
        assert "90 MB" in page  # of the newest version
        assert "253 KB" in page  # of all of them
        assert "durable <time" in page
        assert "Not saved" in page
        assert "10 GB" in page
        assert "theirs" not in page
        assert "Damaged" not in page

    def test_names_what_is_damaged_and_who_uses_it(
        self, client: Client, owner: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        used = workspace_of(owner, "used", versions=1, holder="0123456789abcdef")
        damage(workspace_of(owner, "broken", versions=2), 1)
        assert "In use" in text_of(client, "/workspaces/")
        job = factories.job(owner)
        monkeypatch.setattr(hooks, "_active_jobs", lambda _: {used.pk: str(job.pk)})
        page = text_of(client, "/workspaces/")
        assert f'href="/jobs/{job.pk}/"' in page
        assert page.count("Damaged") == 1
        assert f'href="/jobs/{job.pk}/"' in text_of(client, "/workspaces/used/")

    def test_searches_and_pages(self, client: Client, owner: User) -> None:
        workspace_create(owner, "first", disk_gb=2)
        for number in range(30):
            workspace_create(owner, f"batch-{number:02}", disk_gb=2)
        assert "first" not in text_of(client, "/workspaces/")  # on the second page
        assert ">first<" in text_of(client, "/workspaces/?page=2")
        assert "batch-07" in text_of(client, "/workspaces/?page=no")
        found = text_of(client, "/workspaces/?q=CH-12")
        assert "batch-12" in found
        assert "batch-13" not in found
        assert "No workspace matches" in text_of(client, "/workspaces/?q=nobody%00")
        assert 'href="?q=batch&amp;page=2"' in text_of(client, "/workspaces/?q=batch&done=deleted")

    def test_costs_the_same_for_many(
        self, client: Client, owner: User, django_assert_num_queries: Any
    ) -> None:
        for number in range(25):
            damage(workspace_of(owner, f"w{number}", versions=1), 1)
        # Session, user, count, workspaces with what they need, and who uses them.
        with django_assert_num_queries(5):
            client.get("/workspaces/")

    def test_empty_teaches(self, client: Client) -> None:
        page = text_of(client, "/workspaces/")
        assert "mags run -p -w my-space &#x27;date &gt;&gt; visits.txt; cat visits.txt&#x27;" in page
        assert "data-copy=" in page
        assert re.search(r'href="/workspaces/"[^>]*aria-current="page"', page)


class TestPage:
    def test_someone_elses_looks_like_none(self, client: Client) -> None:
        workspace_of(user(), "theirs", versions=2)
        for name in ("theirs", "nothing", "-no-name-at-all"):
            assert "Nothing here" in text_of(client, f"/workspaces/{name}/", 404)
            assert send(client, name, "disk", disk_gb=3).status_code == 404
        assert Workspace.objects.get().disk_gb == 10

    def test_shows_the_versions(self, client: Client, owner: User) -> None:
        workspace_of(owner, "w", versions=4, host=factories.Agent(boot=False).host)
        Version.objects.filter(number=3).update(durable_at=None, stored_bytes=0)
        page = text_of(client, "/workspaces/w/")
        for words in ("Synced<", "Checkpoint", "Sandbox stopped", "Script ended", "Not yet", "Shared"):
            assert words in page
        assert page.count("Newest</span>") == 1
        assert [n for n in range(1, 5) if f'id="restore-{n}"' in page] == [1, 2, 3]

    def test_pages_through_many_versions(self, client: Client, owner: User) -> None:
        workspace_of(owner, "w", versions=30)
        assert 'id="restore-5"' not in text_of(client, "/workspaces/w/")
        assert 'id="restore-5"' in text_of(client, "/workspaces/w/?page=2")

    def test_costs_the_same_however_long_the_chains_are(
        self, client: Client, owner: User, django_assert_num_queries: Any
    ) -> None:
        damage(workspace_of(owner, "w", versions=60), 30)
        # session, user, workspace, count, damaged, parents, versions of the page, the newest whole one
        with django_assert_num_queries(9):
            page = text_of(client, "/workspaces/w/")
        assert "Restore version 29" in page

    def test_without_versions_it_teaches(self, client: Client, owner: User) -> None:
        workspace_of(owner, "scratch")
        page = text_of(client, "/workspaces/scratch/")
        assert "goes 10 minutes after its last use" in page
        assert "mags run -p -w scratch" in page

    def test_damage_offers_what_is_whole(self, client: Client, owner: User) -> None:
        damage(workspace_of(owner, "w", versions=4), 3, HOSTILE)
        page = text_of(client, "/workspaces/w/")
        assert "The newest version is damaged" in page
        assert 'id="restore-good"' in page
        assert "Restore version 2?" in page
        assert page.count("Damaged</span>") == 3  # the workspace, and versions 3 and 4
        assert 'id="restore-3"' not in page
        assert "<img" not in page
        damage(Workspace.objects.get(), 1)
        page = text_of(client, "/workspaces/w/")
        assert "None of its versions can be restored." in page
        assert 'id="restore-good"' not in page

    def test_policy_and_tokens(self, owner: User) -> None:
        workspace_of(owner, "w", versions=2)
        client = browser_of(owner)
        response = client.get("/workspaces/w/")
        assert "unsafe" not in response["Content-Security-Policy"]
        assert "no-store" in response["Cache-Control"]
        assert send(client, "w", "disk", disk_gb=3).status_code == 403

    def test_an_unknown_action_changes_nothing(self, client: Client, owner: User) -> None:
        workspace_of(owner, "w")
        assert send(client, "w", "explode").status_code == 400
        assert client.post("/workspaces/w/").status_code == 400


@pytest.mark.usefixtures("bucket")
class TestRestore:
    def test_makes_a_new_version(self, client: Client, owner: User) -> None:
        one, _ = saved(owner, versions=2)
        response = send(client, "w", "restore", version=1)
        assert response["Location"] == "/workspaces/w/?done=restored#main"
        head = Workspace.objects.get().head
        assert head is not None
        assert (head.number, head.manifest) == (3, one.manifest)
        assert "Restored as a new version" in text_of(client, "/workspaces/w/?done=restored")
        assert Version.objects.count() == 3

    def test_says_why_not(self, client: Client, owner: User, settings: Any) -> None:
        saved(owner, versions=2)
        page = said(send(client, "w", "restore", version=9), 404)
        assert "The workspace has no such version." in page
        assert "Choose one of the versions in the list." in page
        assert "This is no version" in said(send(client, "w", "restore", version="x"), 400)
        damage(Workspace.objects.get(), 1)
        assert "missing or changed" in said(send(client, "w", "restore", version=1), 409)
        hold_on(owner)
        Version.objects.update(damaged_at=None)
        page = said(send(client, "w", "restore", version=1), 409)
        assert "already in use" in page
        assert "Stop the job that uses it" in page
        assert Version.objects.count() == 2


@pytest.mark.usefixtures("bucket")
class TestFork:
    def test_of_the_newest_and_of_an_older_version(self, client: Client, owner: User) -> None:
        one, two = saved(owner, versions=2)
        assert send(client, "w", "fork", name="f")["Location"] == "/workspaces/f/?done=forked#main"
        send(client, "w", "fork", name="g", version=1)
        heads = {w.name: w.head.manifest for w in Workspace.objects.select_related("head") if w.head}
        assert heads == {"w": two.manifest, "f": two.manifest, "g": one.manifest}
        assert all(workspace.owner == owner for workspace in Workspace.objects.all())

    @pytest.mark.parametrize(
        ("fields", "status", "words"),
        [
            ({"name": ""}, 400, "Enter a name for the new workspace."),
            ({"name": "a b"}, 400, "A name is 1 to 63 letters"),
            ({"name": "f", "version": "0"}, 400, "Enter the number of one of the versions"),
            ({"name": "f", "version": "9"}, 404, "Choose one of the versions in the list."),
            ({"name": "w"}, 409, "Choose another name, or delete that workspace."),
        ],
    )
    def test_says_why_not_and_loses_nothing(
        self, client: Client, owner: User, fields: dict[str, str], status: int, words: str
    ) -> None:
        saved(owner, versions=2)
        page = said(send(client, "w", "fork", **fields), status)
        assert words in page
        for value in filter(None, fields.values()):
            assert f'value="{value}"' in page
        assert Workspace.objects.count() == 1

    def test_what_was_typed_stays_text(self, client: Client, owner: User) -> None:
        workspace_of(owner, "w", versions=1)
        page = said(send(client, "w", "fork", name=HOSTILE, version=HOSTILE), 400)
        assert "alert(1)" in page
        assert "<script>alert" not in page
        assert "<img" not in page

    def test_needs_a_version(self, client: Client, owner: User) -> None:
        workspace_of(owner, "w")
        assert "The workspace has no version yet." in said(send(client, "w", "fork", name="f"), 409)

    @pytest.mark.django_db(transaction=True)  # what is written after the commit is what fails
    def test_the_store_is_away(self, client: Client, owner: User, settings: Any) -> None:
        saved(owner)
        settings.S3_ENDPOINT = "http://127.0.0.1:9"
        assert "The object store does not answer." in said(send(client, "w", "fork", name="f"), 503)


class TestDisk:
    def test_changes_the_limit(self, client: Client, owner: User) -> None:
        workspace_of(owner, "w")
        assert send(client, "w", "disk", disk_gb=20)["Location"] == "/workspaces/w/?done=resized#main"
        assert Workspace.objects.get().disk_gb == 20
        assert 'value="20"' in text_of(client, "/workspaces/w/")

    @pytest.mark.parametrize("wrong", ["", "0", "1001", "much", "-5"])
    def test_says_why_not_and_loses_nothing(self, client: Client, owner: User, wrong: str) -> None:
        workspace_of(owner, "w")
        page = said(send(client, "w", "disk", disk_gb=wrong), 400)
        assert "Enter a whole number from 1 to 1000." in page
        assert f'value="{wrong}"' in page
        assert Workspace.objects.get().disk_gb == 10


class TestDelete:
    def test_needs_the_name(self, client: Client, owner: User) -> None:
        workspace_of(owner, "w", versions=3)
        page = text_of(client, "/workspaces/w/")
        assert "<strong>3 versions</strong> with 90 MB of files" in page
        assert "Type the workspace&#x27;s name." in said(send(client, "w", "delete"), 400)
        page = said(send(client, "w", "delete", typed="W"), 400)
        assert "Nothing was deleted." in page
        assert 'value="W"' in page
        assert "<details open>" in page
        assert Workspace.objects.get().deleted_at is None
        assert send(client, "w", "delete", typed="w")["Location"] == "/workspaces/?done=deleted#main"
        assert Workspace.objects.get().deleted_at is not None
        page = text_of(client, "/workspaces/?done=deleted")
        assert "The workspace is deleted." in page
        assert "/workspaces/w/" not in page

    def test_not_while_it_is_held(self, client: Client, owner: User) -> None:
        workspace_of(owner, "w", versions=1, holder="0123456789abcdef")
        page = said(send(client, "w", "delete", typed="w"), 409)
        assert "The workspace w is already in use." in page
        assert "Stop the job that uses it, or wait for its end." in page
        assert Workspace.objects.get().deleted_at is None
