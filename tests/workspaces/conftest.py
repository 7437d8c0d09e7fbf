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
    own = {
        "S3_ENDPOINT": object_store_server.url, "S3_HOST_ENDPOINT": object_store_server.url,
        "S3_ACCESS_KEY": ACCESS_KEY, "S3_SECRET_KEY": SECRET_KEY,
        "S3_BUCKET": f"test-{uuid.uuid4().hex[:16]}",
    }  # fmt: skip
    for name, value in own.items():
        setattr(settings, name, value)
    objectstore.bucket_create()
    yield own["S3_BUCKET"]
    for name, value in own.items():  # a test may have changed them
        setattr(settings, name, value)
    # The store keeps volumes for each bucket, and has no more of them after some fifty.
    objectstore._client().delete_bucket(Bucket=own["S3_BUCKET"])
    objectstore._made.cache_clear()
