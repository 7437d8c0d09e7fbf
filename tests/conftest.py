"""Settings and servers that every test may use.

Each pytest process (and each xdist worker) gets its own state directory, database and Redis port,
so tests run beside a live stack and beside each other. `MAGS_TEST_DATABASE=postgres` runs the very
same tests on a throw-away PostgreSQL cluster.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings
from django.db import connection
from playwright.sync_api import Browser

from tests.dashboard.browser import launched
from tests.e2e.running import RunningStack, running_stack
from tests.servers import PostgresServer, RedisServer, WebServer, database_url, free_ports
from tests.workspaces import seaweed
from tests.workspaces.seaweed import BUCKET, ObjectStoreServer

VAR_DIR = Path(tempfile.mkdtemp(prefix="mags-test-"))
IS_POSTGRES = os.environ.get("MAGS_TEST_DATABASE") == "postgres"
REDIS_PORT, POSTGRES_PORT = free_ports(2)

# Set before Django reads its settings: pytest-django does so after this file is imported,
# because pyproject.toml names no settings module.
for _name in [name for name in os.environ if name.startswith("MAGS_") and name != "MAGS_TEST_DATABASE"]:
    del os.environ[_name]
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "mags_project.settings",
    "MAGS_SECRET_KEY": "a-key-for-tests-only-" + "x" * 40,
    "MAGS_VAR_DIR": str(VAR_DIR),
    "MAGS_STATIC_FROM_SOURCES": "1",
    "MAGS_REDIS_URL": f"redis://127.0.0.1:{REDIS_PORT}/0",
}
if IS_POSTGRES:
    os.environ["MAGS_DATABASE_URL"] = f"postgres://postgres@127.0.0.1:{POSTGRES_PORT}/mags"
(VAR_DIR / "db").mkdir()
(VAR_DIR / "static").mkdir()
django.setup()  # before the test modules, which import models, are collected
del os.environ["DJANGO_SETTINGS_MODULE"]  # an xdist worker would load settings before it gets here
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one takes 0.3 s
settings.WHITENOISE_AUTOREFRESH = True  # else each test client looks at every static file: 20 ms


def pytest_unconfigure() -> None:
    shutil.rmtree(VAR_DIR, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # Playwright leaves an event loop on the thread, in which no asyncio test of the process can run.
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
    if IS_POSTGRES:
        return
    skip = pytest.mark.skip(reason="needs PostgreSQL: run with MAGS_TEST_DATABASE=postgres")
    for item in items:
        if item.get_closest_marker("postgres"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with PostgresServer(POSTGRES_PORT) as server:
        yield server


@pytest.fixture(scope="session")
def django_db_modify_db_settings(request: pytest.FixtureRequest) -> None:
    """A real file (threads and processes see it), or a real PostgreSQL."""
    if IS_POSTGRES:
        request.getfixturevalue("postgres_server")
    else:
        settings.DATABASES["default"]["TEST"]["NAME"] = str(VAR_DIR / "db" / "test.sqlite3")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """As pytest-django does it. Threads that outlive their tests (core/threads.py keeps their connections)
    would keep PostgreSQL from dropping the database."""
    yield
    if IS_POSTGRES:
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            cursor.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")  # noqa: S608


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis of this test run, at `settings.REDIS_URL`. A test that stops it must start it again."""
    with RedisServer(REDIS_PORT) as server:
        yield server


@pytest.fixture
def redis(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """The running Redis, emptied. Without this fixture there may be none, as in an outage."""
    redis_server.flush()
    monkeypatch.setattr("core.redis._pause_until", 0.0)  # an earlier test may have met the outage
    return redis_server


@pytest.fixture(scope="session")
def web_server(django_db_setup: None, redis_server: RedisServer) -> Iterator[WebServer]:
    """The control plane under daphne. Tests that use it take `web`."""
    own = {"MAGS_DATABASE_URL": database_url(), "MAGS_REDIS_URL": redis_server.url}
    with WebServer(*free_ports(1), own) as server:
        yield server


@pytest.fixture
def web(web_server: WebServer, redis: RedisServer, transactional_db: None) -> WebServer:
    """The running control plane; it sees what the test commits."""
    return web_server


@pytest.fixture(scope="session")
def object_store_server() -> ObjectStoreServer:
    """A real object store, for what runs beside the test. Tests themselves take `bucket`."""
    return seaweed.running()


@pytest.fixture
def bucket(object_store_server: ObjectStoreServer, settings: Any) -> str:
    """An empty bucket, in the settings too. It is the same for all: a new one costs half a second."""
    from workspaces import objectstore

    for name, value in object_store_server.environment().items():
        setattr(settings, name.removeprefix("MAGS_"), value)
    settings.S3_HOST_ENDPOINT = object_store_server.url
    objectstore.bucket_create()
    objectstore.delete(entry.key for entry in objectstore.walk(""))
    return BUCKET


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """A whole stack of this test run's own: what `make up` starts. It has run other tests' jobs before."""
    # Of sandboxes that sleep at all within a test: others sleep after ten minutes.
    with running_stack(MAGS_IDLE_STOP_S="4") as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One for all tests of a process: Playwright starts only once on a thread."""
    with pytest.MonkeyPatch.context() as patch, launched() as browser:
        # Playwright keeps an event loop on this thread, which makes Django refuse to work on it.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield browser
