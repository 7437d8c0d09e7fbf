"""Images as clients see them, and that jobs name only what there is."""

from __future__ import annotations

import pytest
from django.test import Client

from jobs.models import Job
from tests.images.factories import published
from tests.jobs.factories import API, client_of, user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


@pytest.fixture
def client() -> Client:
    return client_of(user())


def test_standard_is_there_before_anything_is_published(client: Client) -> None:
    assert client.get(f"{API}/mags-images").json() == {
        "images": [
            {
                "name": "standard", "build": None, "builds": 0, "size_bytes": None, "stored_bytes": None,
                "created_at": None,
            }
        ],
        "total": 1,
    }  # fmt: skip


def test_images_are_listed_by_name(client: Client) -> None:
    published()
    newest = published()
    published("alpine")
    listed = client.get(f"{API}/mags-images").json()["images"]
    assert [(image["name"], image["builds"]) for image in listed] == [("alpine", 1), ("standard", 2)]
    assert listed[1]["build"] == newest.name


def test_strangers_see_nothing() -> None:
    assert Client().get(f"{API}/mags-images").status_code == 401


def test_a_job_names_an_image_that_there_is(client: Client) -> None:
    published("alpine")
    body = {"script": "true", "rootfs_type": "alpine"}
    assert client.post(f"{API}/mags-jobs", body, content_type="application/json").status_code == 202
    assert Job.objects.get().image == "alpine"


def test_a_job_with_an_unknown_image_is_refused_with_the_names(client: Client) -> None:
    published("alpine")
    body = {"script": "true", "rootfs_type": "apline", "workspace_id": "w"}
    answer = client.post(f"{API}/mags-jobs", body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["fields"] == {"rootfs_type": "there is no such image; there are: alpine, standard"}
    assert not Job.objects.exists()
