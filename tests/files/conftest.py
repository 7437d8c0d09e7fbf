"""The object store, and the control plane under daphne with it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers import RedisServer, WebServer, database_url, free_ports
from tests.workspaces.seaweed import ObjectStoreServer

FILE_LIMIT_MB = 128


@pytest.fixture(scope="module")
def upload_process(
    django_db_setup: None, object_store_server: ObjectStoreServer, redis_server: RedisServer
) -> Iterator[WebServer]:
    own = {
        **object_store_server.environment(),
        "MAGS_DATABASE_URL": database_url(),
        "MAGS_REDIS_URL": redis_server.url,
        "MAGS_FILE_LIMIT_MB": str(FILE_LIMIT_MB),
        "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
    }
    with WebServer(*free_ports(1), own) as server:
        yield server


@pytest.fixture
def upload_server(
    upload_process: WebServer, bucket: str, redis: RedisServer, transactional_db: None
) -> WebServer:
    """The control plane under daphne, with the empty bucket."""
    return upload_process
