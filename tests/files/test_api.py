"""The public API of uploads."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from accounts.models import User
from files.errors import BadFileName, FileNotFound
from files.models import Upload
from files.names import checked_name
from files.selectors import upload_many
from files.services import uploads_expire
from files.wire import file_assignment
from tests.jobs.factories import API, client_of, user
from tests.shape import assert_error
from tests.workspaces.factories import request
from workspaces import keys, objectstore

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bucket", "redis")]
BODY = b"a,b\n1,2\n"


@pytest.fixture
def owner() -> User:
    return user()


@pytest.fixture
def client(owner: User) -> Client:
    return client_of(owner)


def form(name: str, body: bytes = BODY, part: str = "file", disposition: str = "") -> dict[str, Any]:
    """A form with a name that no client library would send."""
    disposition = disposition or f'form-data; name="{part}"; filename="{name}"'
    head = f"--b\r\nContent-Disposition: {disposition}\r\nContent-Type: text/plain\r\n\r\n".encode()
    return {"data": head + body + b"\r\n--b--\r\n", "content_type": "multipart/form-data; boundary=b"}


def upload(client: Client, name: str = "data.csv", body: bytes = BODY) -> dict[str, Any]:
    response = client.post(f"{API}/mags-files", **form(name, body))
    assert response.status_code == 201, response.json()
    answer: dict[str, Any] = response.json()
    return answer


def test_an_upload_is_kept(client: Client, owner: User) -> None:
    response = client.post(f"{API}/mags-files", {"file": SimpleUploadedFile("data.csv", BODY)})
    assert response.status_code == 201
    answer = response.json()
    assert answer | {"created_at": "", "expires_at": ""} == {
        "file_id": answer["file_id"], "name": "data.csv", "size": len(BODY),
        "sha256": hashlib.sha256(BODY).hexdigest(), "created_at": "", "expires_at": "",
    }  # fmt: skip
    kept = Upload.objects.get(pk=answer["file_id"])
    assert objectstore.get(keys.file_key(owner.pk, kept.pk), 100) == BODY
    assert timedelta(days=6) < kept.expires_at - timezone.now() <= timedelta(days=7)
    assert client.get(f"{API}/mags-files/{kept.pk}").json() == answer


def test_an_empty_file_is_a_file(client: Client) -> None:
    assert upload(client, body=b"")["size"] == 0


@pytest.mark.parametrize("name", ["häßlich.txt", "a b;c.txt", "x" * 255, "...", "C:\\x", "-rf", "&amp;"])
def test_an_odd_name_is_kept_as_it_is(client: Client, name: str) -> None:
    escaped = name.replace("\\", "\\\\")
    assert upload(client, escaped)["name"] == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "a\0b", "a\nb", "x" * 256, "ä" * 128])
def test_a_hostile_name_is_refused(name: str) -> None:
    with pytest.raises(BadFileName):
        checked_name(name)


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "x" * 256, "a\tb"])
def test_a_hostile_name_is_refused_by_the_api(client: Client, name: str) -> None:
    body = assert_error(client.post(f"{API}/mags-files", **form(name)), 400, "bad_file_name")
    assert list(body["fields"]) == ["file"]
    assert not Upload.objects.exists()


def test_a_name_that_is_not_utf8_is_refused(client: Client) -> None:
    broken = form("x")
    broken["data"] = broken["data"].replace(b'"x"', b'"\xff"')
    assert_error(client.post(f"{API}/mags-files", **broken), 400)
    assert not Upload.objects.exists()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (form("x", part="other"), 400),
        (form("", disposition='form-data; name="file"'), 400),  # a field, not a file
        ({"data": b"nonsense", "content_type": "multipart/form-data; boundary=b"}, 400),
        ({"data": b"x", "content_type": "multipart/form-data"}, 400),
        ({"data": {}, "content_type": "application/json"}, 415),
    ],
)
def test_what_is_no_form_with_a_file_is_refused(client: Client, sent: dict[str, Any], status: int) -> None:
    assert_error(client.post(f"{API}/mags-files", **sent), status)
    assert not Upload.objects.exists()


def test_a_file_over_the_limit_is_refused(client: Client, settings: Any) -> None:
    settings.FILE_LIMIT_MB = 1
    assert_error(client.post(f"{API}/mags-files", **form("x", bytes(1024 * 1024 + 1))), 413, "file_too_large")
    assert upload(client, body=bytes(1024 * 1024))["size"] == 1024 * 1024
    assert Upload.objects.count() == 1


def test_a_store_that_is_away(client: Client, settings: Any) -> None:
    settings.S3_ENDPOINT = "http://127.0.0.1:9"
    body = assert_error(client.post(f"{API}/mags-files", **form("x")), 503, "object_store_unavailable")
    assert body["retryable"]
    assert not Upload.objects.exists()


def test_the_list_is_ones_own(client: Client) -> None:
    first, second = upload(client, "a"), upload(client, "b")
    upload(client_of(user()))
    answer = client.get(f"{API}/mags-files").json()
    assert (answer["files"], answer["total"]) == ([second, first], 2)


def test_a_stranger_sees_nothing(client: Client) -> None:
    made = upload(client)["file_id"]
    stranger = client_of(user())
    for path in (made, f"{made}/content", "not-an-id", "0" * 32):
        assert_error(stranger.get(f"{API}/mags-files/{path}"), 404, "file_not_found")
    assert_error(stranger.delete(f"{API}/mags-files/{made}"), 404, "file_not_found")
    assert_error(Client().post(f"{API}/mags-files", **form("x")), 401)
    assert Upload.objects.count() == 1


def test_a_host_reads_it_by_its_address(client: Client, owner: User) -> None:
    first, second = upload(client, "a")["file_id"], upload(client, "b", b"other")["file_id"]
    given = [file_assignment(each) for each in upload_many(owner, [second, first])]
    assert [(each["name"], each["bytes"]) for each in given] == [("b", 5), ("a", len(BODY))]
    for each in given:
        status, body = request("GET", each["url"])
        assert (status, len(body), hashlib.sha256(body).hexdigest()) == (200, each["bytes"], each["sha256"])
    theirs = upload(client_of(user()))["file_id"]
    with pytest.raises(FileNotFound):
        upload_many(owner, [first, theirs])


def test_a_signed_in_browser_uploads_with_its_csrf_token(owner: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner)
    token = "t" * 32
    browser.cookies[settings.CSRF_COOKIE_NAME] = token
    assert_error(browser.post(f"{API}/mags-files", **form("../x")), 403, "csrf_failed")
    kept = browser.post(f"{API}/mags-files", **form("x"), headers={"X-CSRFToken": token})
    assert (kept.status_code, kept.json()["size"]) == (201, len(BODY))
    hostile = browser.post(f"{API}/mags-files", **form("../x"), headers={"X-CSRFToken": token})
    assert_error(hostile, 400, "bad_file_name")


def test_a_deleted_file_is_gone(client: Client, owner: User) -> None:
    made = upload(client)["file_id"]
    assert client.delete(f"{API}/mags-files/{made}").status_code == 204
    assert_error(client.get(f"{API}/mags-files/{made}"), 404)
    assert list(objectstore.walk(keys.files_prefix(owner.pk))) == []


def test_expired_files_go(client: Client, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    old, young = upload(client)["file_id"], upload(client)["file_id"]
    Upload.objects.filter(pk=old).update(expires_at=timezone.now())
    assert_error(client.get(f"{API}/mags-files/{old}"), 404)
    objectstore.put_new(f"{keys.files_prefix(owner.pk)}left-by-a-kill", b"x")
    assert uploads_expire() == 1
    left = [entry.key for entry in objectstore.walk(keys.files_prefix(owner.pk))]
    assert sorted(left) == sorted(
        f"{keys.files_prefix(owner.pk)}{name}" for name in (young, "left-by-a-kill")
    )
    monkeypatch.setattr("files.services.ABANDONED_AFTER", timedelta(0))
    later = timezone.now() + timedelta(minutes=1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert uploads_expire() == 0
    assert [entry.key for entry in objectstore.walk(keys.files_prefix(owner.pk))] == [
        f"{keys.files_prefix(owner.pk)}{young}"
    ]


def test_the_same_key_is_the_same_file(client: Client) -> None:
    headers = {"Idempotency-Key": "k"}
    one, two = (client.post(f"{API}/mags-files", **form("a"), headers=headers) for _ in range(2))
    assert (one.status_code, one.json()) == (two.status_code, two.json())
    assert Upload.objects.count() == 1
    other = client.post(f"{API}/mags-files", **form("a", b"other"), headers=headers)
    assert_error(other, 409, "idempotency_key_reused")
