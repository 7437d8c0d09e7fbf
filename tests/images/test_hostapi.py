"""What hosts may ask and say about images (docs/reference/host-api.md)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hosts.models import Host
from images import keys
from images.models import Build, Image
from tests.images.factories import MADE_AT, publish, published, publisher, put_and_publish, upload
from tests.workspaces.factories import Agent, request, snapshot
from workspaces import objectstore

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bucket", "redis")]


def poll(agent: Agent, after: int) -> dict[str, Any]:
    status, answer = agent.call("get", f"/poll?boot_epoch={agent.boot_epoch}&after={after}&wait=0")
    assert status == 200
    return answer


def test_a_build_is_put_published_and_read_by_another_host() -> None:
    host, other = publisher(), Agent()
    made = snapshot()
    upload(host, made)
    status, receipt = publish(host, made, "standard-1")
    build = Build.objects.get()
    assert build.durable_at is not None
    assert (status, receipt) == (
        200,
        {
            "image": "standard", "build": "standard-1", "number": 1, "manifest": made.sha256,
            "made_at": MADE_AT, "bytes": build.stored_bytes,
            "durable_at": round(build.durable_at.timestamp() * 1000),
        },
    )  # fmt: skip
    record = json.loads(objectstore.get("images/standard/0000000001.json", 10_000) or b"")
    assert (record["build"], record["manifest"], record["tree_bytes"]) == ("standard-1", made.sha256, 77)
    _, found = other.call("get", "/images/builds?image=standard&build=standard-1")
    assert found["manifest"] == made.sha256
    _, answer = other.call("post", "/images/objects", {"get": list(made.objects)})
    for name, url in answer["get"].items():
        assert request("GET", url) == (200, made.objects[name])


def test_hosts_learn_the_newest_build_at_boot_and_by_a_poll() -> None:
    host, other = publisher(), Agent()
    first = put_and_publish(host, "standard-1")
    answer = poll(other, 0)
    assert [(head["build"], head["manifest"]) for head in answer["images"]] == [("standard-1", first.sha256)]
    assert "images" not in poll(other, answer["revision"])
    put_and_publish(host, "standard-2")
    assert poll(other, answer["revision"])["images"][0]["number"] == 2
    booted = other.boot()
    assert (booted["images"][0]["build"], booted["publishes_images"]) == ("standard-2", False)
    assert host.boot()["publishes_images"] is True


def test_the_same_build_again_is_answered_as_it_is() -> None:
    host = publisher()
    made = put_and_publish(host, "standard-1")
    put_and_publish(host, "standard-2")
    other = publisher()
    elsewhere = snapshot()  # the same files in other bytes: what another host would put of this build
    status, receipt = publish(other, elsewhere, "standard-1")
    assert (status, receipt["number"], receipt["manifest"]) == (200, 1, made.sha256)
    assert Build.objects.count() == 2
    assert Image.objects.get().head == Build.objects.get(number=2)


def test_an_older_build_that_is_brought_back_is_no_head() -> None:
    host = publisher()
    put_and_publish(host, "standard-2")
    put_and_publish(host, "standard-1", made_at=MADE_AT - 1)
    assert Image.objects.get().head == Build.objects.get(name="standard-2")
    assert Build.objects.get(name="standard-1").number == 2


def test_a_host_without_the_right_changes_nothing() -> None:
    host = Agent()
    made = snapshot()
    status, answer = host.call("post", "/images/objects", {"put": [[made.sha256, 10]]})
    assert (status, answer["code"]) == (403, "may_not_publish")
    upload(publisher(), made)
    status, answer = publish(host, made, "standard-1")
    assert (status, answer["code"]) == (403, "may_not_publish")
    assert not Image.objects.exists()
    assert "host_publish_images" in answer["remediation"]


def test_nobody_without_a_hosts_key_is_heard() -> None:
    agent = Agent()
    Host.objects.filter(pk=agent.host.pk).update(key_digest="gone")
    assert agent.call("get", "/images/builds?image=standard&build=x")[0] == 401


@pytest.mark.parametrize(
    "fields",
    [
        {"image": "objects"},
        {"image": "../x"},
        {"image": "UP"},
        {"build": "a b"},
        {"build": "../x"},
        {"made_at": -1},
    ],
    ids=str,
)
def test_names_that_are_none_are_refused(fields: dict[str, Any]) -> None:
    host, made = publisher(), snapshot()
    upload(host, made)
    status, answer = publish(host, made, **{"build": "standard-1"} | fields)
    assert (status, answer["code"]) == (400, "invalid")


def test_what_is_not_put_is_named() -> None:
    made = snapshot()
    status, answer = publish(publisher(), made, "standard-1")
    assert (status, answer["code"], answer["missing"]) == (409, "missing_objects", [made.sha256])
    objectstore.put_new(keys.object_key(made.sha256), made.manifest)
    status, answer = publish(publisher(), made, "standard-1")
    assert (status, answer["missing"]) == (409, sorted(made.segments))
    assert not Build.objects.exists()


def test_an_image_stands_on_nothing() -> None:
    host = publisher()
    for made in (snapshot(parent="0" * 64), snapshot(image={"name": "standard", "digest": "x"})):
        upload(host, made)
        status, answer = publish(host, made, "standard-1")
        assert (status, answer["code"]) == (400, "bad_manifest")


def test_an_unknown_build_is_said() -> None:
    published()
    status, answer = Agent().call("get", "/images/builds?image=standard&build=other")
    assert (status, answer["code"]) == (404, "build_not_found")
