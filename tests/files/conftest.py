"""The object store, and the control plane under daphne with it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings

from tests.conftest import IS_POSTGRES, POSTGRES_PORT, _free_port
from tests.servers import RedisServer, WebServer
from tests.workspaces.conftest import bucket, object_store_server
from tests.workspaces.seaweed import ObjectStoreServer

__all__ = ["bucket", "object_store_server"]
FILE_LIMIT_MB = 128


@pytest.fixture
def upload_server(
    bucket: str,
    object_store_server: ObjectStoreServer,
    redis: RedisServer,
    transactional_db: None,
) -> Iterator[WebServer]:
    """The control plane under daphne, with this test's bucket."""
    name = django_settings.DATABASES["default"]["NAME"]
    database = f"postgres://postgres@127.0.0.1:{POSTGRES_PORT}/{name}" if IS_POSTGRES else f"sqlite:///{name}"
    own = {
        **object_store_server.environment(),
        "MAGS_S3_BUCKET": bucket,
        "MAGS_DATABASE_URL": database,
        "MAGS_REDIS_URL": redis.url,
        "MAGS_FILE_LIMIT_MB": str(FILE_LIMIT_MB),
        "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
    }
    with WebServer(_free_port(), own) as server:
        yield server
