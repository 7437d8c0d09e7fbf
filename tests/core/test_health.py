"""/healthz, /readyz, and the documents."""

from __future__ import annotations

import io
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from core import health
from tests.servers import RedisServer
from tests.shape import assert_error


def test_healthz_looks_at_nothing_else() -> None:  # no database: pytest-django would refuse it
    answer = Client().get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.django_db
def test_readyz_names_the_parts(redis: RedisServer) -> None:
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "database": "ok", "redis": "ok"})


@pytest.mark.django_db
def test_readyz_without_redis_is_degraded_but_ready(redis: RedisServer) -> None:
    redis.stop(signal.SIGKILL)
    try:
        answer = Client().get("/readyz")
    finally:
        redis.start()
    assert (answer.status_code, answer.json()["status"], answer.json()["redis"]) == (
        200,
        "degraded",
        "degraded",
    )


@pytest.mark.django_db
def test_readyz_is_503_until_migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_is_migrated", False)
    newest = MigrationLoader(connection).graph.leaf_nodes("accounts")[0]
    MigrationRecorder(connection).record_unapplied(*newest)
    answer = Client().get("/readyz", headers={"Accept": "*/*"})
    assert answer.status_code == 503
    assert "migrate" in answer.text
    MigrationRecorder(connection).record_applied(*newest)
    assert Client().get("/readyz").status_code == 200


@pytest.mark.django_db
def test_readyz_is_503_without_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise OperationalError("unable to open database file")

    monkeypatch.setattr(connection, "cursor", away)
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers


@pytest.mark.django_db
def test_swagger_page_has_no_inline_script_or_style() -> None:
    page = Client().get("/api/docs/")
    assert page.status_code == 200
    assert "<style" not in page.text
    assert "style=" not in page.text
    assert all("></script>" in part for part in page.text.split("<script")[1:])
    script = Client().get("/api/docs/?script=")
    assert script.headers["Content-Type"] == "application/javascript"
    assert "/api/schema/" in script.text


# Those who log in have none yet.
WITHOUT_A_TOKEN = {"/api/v1/auth/cli/device", "/api/v1/auth/cli/token"}


@pytest.mark.django_db
def test_document_describes_every_operation_with_its_errors(tmp_path: Path) -> None:
    file = tmp_path / "openapi.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(file), stderr=io.StringIO())
    document = yaml.safe_load(file.read_text())
    assert set(document["components"]["securitySchemes"]) == {"token", "session"}
    operations = [
        (path, operation) for path, methods in document["paths"].items() for operation in methods.values()
    ]
    assert len(operations) >= 4
    assert all(path.startswith("/api/v1/") for path in document["paths"])
    for path, operation in operations:
        error = operation["responses"]["default"]["content"]["application/json"]["schema"]
        assert error == {"$ref": "#/components/schemas/ErrorOutput"}
        expected = None if path in WITHOUT_A_TOKEN else [{"token": []}, {"session": []}]
        assert operation.get("security") == expected, path


@pytest.mark.django_db
def test_served_document_is_open_and_current() -> None:
    assert "auth_me" in Client().get("/api/schema/").text
    assert_error(Client().get("/api/v1/auth/me"), 401)


@pytest.mark.django_db(transaction=True)
def test_write_unless_locked_waits_for_nobody() -> None:
    from django.db import connections, transaction

    from accounts.models import User
    from core.database import write_unless_locked

    user = User.objects.create(email="a@example.org")
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            User.objects.filter(pk=user.pk).update(name="held")
            locked.set()
            done.wait(20)
        connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert locked.wait(10)
        assert not write_unless_locked(User.objects.filter(pk=user.pk), name="mine")
    finally:
        done.set()
        holder.join()
    assert write_unless_locked(User.objects.filter(pk=user.pk), name="mine")
    user.refresh_from_db()
    assert user.name == "mine"
