"""A workspace's disk is never made smaller than what lies on it."""

from __future__ import annotations

import pytest

from tests.jobs import factories
from tests.jobs.factories import API, client_of
from tests.workspaces.factories import saved
from workspaces.models import Version, Workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
GIB = 1 << 30


def test_smaller_than_its_files_is_refused_and_larger_is_not(bucket: str) -> None:
    owner = factories.user()
    [version] = saved(owner)
    Version.objects.filter(pk=version.pk).update(tree_bytes=3 * GIB)
    workspace = Workspace.objects.filter(owner=owner, name="w")
    workspace.update(disk_gb=4)
    client, url = client_of(owner), f"{API}/mags-workspaces/w"
    refused = client.patch(url, {"disk_gb": 2}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (409, "disk_too_small")
    assert refused.json()["error"] == "The newest version holds 3.0 GB, more than 2 GB."
    assert workspace.get().disk_gb == 4
    for disk_gb in (3, 5):
        assert client.patch(url, {"disk_gb": disk_gb}, content_type="application/json").status_code == 200
        assert workspace.get().disk_gb == disk_gb
    workspace.update(disk_gb=1)  # made so before anybody looked: it may still grow
    assert client.patch(url, {"disk_gb": 2}, content_type="application/json").status_code == 200
