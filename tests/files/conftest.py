"""The object store, and the control plane under daphne with it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings

from tests.conftest import IS_POSTGRES, POSTGRES_PORT, _free_port
from tests.servers import RedisServer, WebServer
from tests.workspaces.seaweed import ObjectStoreServer

FILE_LIMIT_MB = 128


@pytest.fixture(scope="module")
def upload_process(
    django_db_setup: None, object_store_server: ObjectStoreServer, redis_server: RedisServer
) -> Iterator[WebServer]:
    name = django_settings.DATABASES["default"]["NAME"]
    database = f"postgres://postgres@127.0.0.1:{POSTGRES_PORT}/{name}" if IS_POSTGRES else f"sqlite:///{name}"
    own = {
        **object_store_server.environment(),
        "MAGS_DATABASE_URL": database,
        "MAGS_REDIS_URL": redis_server.url,
        "MAGS_FILE_LIMIT_MB": str(FILE_LIMIT_MB),
        "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
    }
    with WebServer(_free_port(), own) as server:
        yield server


@pytest.fixture
def upload_server(
    upload_process: WebServer, bucket: str, redis: RedisServer, transactional_db: None
) -> WebServer:
    """The control plane under daphne, with the empty bucket."""
    return upload_process
