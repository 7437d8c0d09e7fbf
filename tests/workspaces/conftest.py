"""A real object store for tests. Other directories' conftest.py may import these fixtures."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.workspaces import seaweed
from tests.workspaces.seaweed import ACCESS_KEY, SECRET_KEY, ObjectStoreServer
from workspaces import objectstore


@pytest.fixture(scope="session")
def object_store_server() -> ObjectStoreServer:
    return seaweed.running()


@pytest.fixture
def bucket(object_store_server: ObjectStoreServer, settings: Any) -> Iterator[str]:
    """An empty bucket of this test's own, in the settings too."""
    settings.S3_ENDPOINT = settings.S3_HOST_ENDPOINT = object_store_server.url
    settings.S3_ACCESS_KEY, settings.S3_SECRET_KEY = ACCESS_KEY, SECRET_KEY
    settings.S3_BUCKET = f"test-{uuid.uuid4().hex[:16]}"
    objectstore.bucket_create()
    made = settings.S3_BUCKET
    yield made
    # The store keeps volumes for each bucket, and has no more of them after some fifty.
    settings.S3_ENDPOINT, settings.S3_SECRET_KEY = object_store_server.url, SECRET_KEY
    objectstore._client().delete_bucket(Bucket=made)
    objectstore._made.cache_clear()
