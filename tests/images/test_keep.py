"""Which builds stay, and what goes: nothing that somebody stands on or may go on to stand on."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from images import keys
from images.models import Build, Image, ImageObject
from images.services import builds_prune, builds_retire, collect, images_collect, records_complete
from tests.images.factories import publish, published, publisher, put_and_publish, upload
from tests.workspaces.factories import Agent, snapshot, user
from workspaces import objectstore
from workspaces.models import Workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bucket", "redis")]


def age(**hours: float) -> None:
    """As if the last changes had been so long ago."""
    before = timezone.now() - timedelta(**hours)
    Build.objects.filter(retired_at__isnull=False).update(retired_at=before)
    ImageObject.objects.update(seen_at=before)


def lose_rows() -> None:
    """As if the database had been lost."""
    Image.objects.all().delete()
    ImageObject.objects.all().delete()


def workspace(**fields: Any) -> Workspace:
    return Workspace.objects.create(**{"owner": user(), "name": "w", "disk_gb": 2} | fields)


def test_only_what_nobody_stands_on_is_retired() -> None:
    pinned, bare, head = published(build="a"), published(build="b"), published(build="c")
    workspace(image_build=pinned.name)
    workspace(image_build=bare.name, image="another")
    workspace(image_build=bare.name, deleted_at=timezone.now())
    assert builds_retire() == 1
    bare.refresh_from_db()
    assert bare.retired_at is not None
    assert Build.objects.filter(pk__in=(pinned.pk, head.pk), retired_at__isnull=False).count() == 0


def test_a_workspace_that_is_not_saved_yet_may_stand_on_what_was_the_head() -> None:
    former = published(build="a")
    unsaved = workspace(host=Agent().host)
    published(build="b")
    assert builds_retire() == 0
    unsaved.delete()
    later = workspace(host=Agent().host)  # whose host may not have fetched the present head yet
    assert builds_retire() == 0
    later.created_at += timedelta(hours=25)
    later.save()
    assert builds_retire() == 1
    former.refresh_from_db()
    assert former.retired_at is not None


def test_a_retired_build_comes_back_when_it_is_needed() -> None:
    former = published(build="a")
    published(build="b")
    builds_retire()
    age(hours=30)
    workspace(image_build=former.name)
    assert (builds_prune(), builds_retire()) == (0, 0)
    former.refresh_from_db()
    assert former.retired_at is None


def test_a_build_that_is_needed_while_it_goes_gets_its_record_again(monkeypatch: pytest.MonkeyPatch) -> None:
    host = publisher()
    put_and_publish(host, "standard-1")
    put_and_publish(host, "standard-2")
    builds_retire()
    age(hours=30)
    delete = objectstore.delete

    def delete_slowly(names: Iterable[str]) -> None:
        delete(names)
        workspace(image_build="standard-1")

    monkeypatch.setattr(objectstore, "delete", delete_slowly)
    assert builds_prune() == 0
    assert objectstore.size_of(keys.record_key("standard", 1)) is None
    Build.objects.update(committed_at=timezone.now() - timedelta(minutes=1))
    assert records_complete() == 1
    assert objectstore.size_of(keys.record_key("standard", 1)) is not None


def test_a_build_goes_after_the_grace_period_and_shared_objects_stay() -> None:
    host = publisher()
    old = put_and_publish(host, "standard-1")
    new = snapshot()
    shared = next(iter(old.segments))
    upload(host, new)
    publish(host, new, "standard-2")
    Build.objects.get(number=2).needs.add(ImageObject.objects.get(sha256=shared))
    assert "1 builds retired" in images_collect().summary
    assert images_collect().summary == ""
    assert objectstore.size_of(keys.object_key(old.sha256)) is not None
    age(hours=30)
    assert "1 removed; 1 objects removed" in images_collect().summary
    assert objectstore.size_of(keys.object_key(old.sha256)) is None
    assert objectstore.size_of(keys.record_key("standard", 1)) is None
    for name in (shared, *new.objects):
        assert objectstore.size_of(keys.object_key(name)) is not None


def test_objects_of_a_publication_that_came_to_nothing_go(settings: Any) -> None:
    host = publisher()
    made = snapshot()
    upload(host, made)
    assert images_collect().summary == ""
    settings.COLLECT_GRACE_HOURS = 0
    assert "2 objects removed" in images_collect().summary
    status, answer = publish(host, made, "standard-1")
    assert (status, answer["code"]) == (409, "missing_objects")
    upload(host, made)
    assert publish(host, made, "standard-1")[0] == 200


def test_a_run_removes_nothing_when_its_claim_is_about_to_end(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.COLLECT_GRACE_HOURS = 0
    made = snapshot()
    upload(publisher(), made)
    monkeypatch.setattr(collect, "RUN_LIMIT_S", -1)
    assert images_collect().summary == ""
    assert objectstore.size_of(keys.object_key(made.sha256)) is not None
    monkeypatch.undo()
    ImageObject.objects.update(collected_at=timezone.now() - timedelta(hours=2))
    assert "2 objects removed" in images_collect().summary


def test_what_is_going_must_be_put_again() -> None:
    host = publisher()
    made = snapshot()
    upload(host, made)
    ImageObject.objects.create(sha256=made.sha256, size_bytes=1, collected_at=timezone.now())
    status, answer = publish(host, made, "standard-1")
    assert (status, answer["missing"]) == (409, [made.sha256])


def test_a_missing_record_is_written_later() -> None:
    put_and_publish(publisher(), "standard-1")
    objectstore.delete([keys.record_key("standard", 1)])
    Build.objects.update(durable_at=None, committed_at=timezone.now() - timedelta(minutes=1))
    assert records_complete() == 1
    assert objectstore.size_of(keys.record_key("standard", 1)) is not None


def said(command: str, *options: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command(command, *options, stdout=out)
    except SystemExit as error:
        return int(str(error.code)), out.getvalue()
    return 0, out.getvalue()


def test_fsck_finds_a_lost_object_and_heals_the_mark() -> None:
    made = put_and_publish(publisher(), "standard-1")
    assert said("workspaces_fsck")[0] == 0
    name, body = next(iter(made.segments.items()))
    objectstore.delete([keys.object_key(name)])
    code, text = said("workspaces_fsck")
    assert (code, f"{keys.object_key(name)}\tis missing" in text) == (1, True)
    assert Build.objects.get().damaged_at is not None
    objectstore.put_new(keys.object_key(name), body)
    assert said("workspaces_fsck")[0] == 0
    assert Build.objects.get().damaged_at is None


def test_rows_are_made_again_beside_what_was_published_meanwhile() -> None:
    """The database was lost, and the host published what it had before anybody rebuilt."""
    host = publisher()
    put_and_publish(host, "standard-1")
    latest = put_and_publish(host, "standard-2")
    lose_rows()
    assert publish(host, latest, "standard-2")[0] == 200
    assert said("workspaces_rebuild")[0] == 0
    assert list(Build.objects.order_by("number").values_list("number", "name")) == [
        (1, "standard-1"), (2, "standard-2")
    ]  # fmt: skip
    assert Image.objects.get().head == Build.objects.get(number=2)
    assert images_collect().problems == []


def test_a_number_whose_build_is_lost_is_not_given_again() -> None:
    host = publisher()
    lost = put_and_publish(host, "standard-1")
    objectstore.delete([keys.object_key(lost.sha256)])
    lose_rows()
    put_and_publish(host, "standard-2")
    assert list(Build.objects.values_list("number", "name")) == [(2, "standard-2")]
    assert objectstore.size_of(keys.record_key("standard", 2)) is not None
    assert "left alone" in images_collect().problems[0]


def test_a_build_with_two_numbers_stops_no_rebuild() -> None:
    host = publisher()
    put_and_publish(host, "standard-1")
    put_and_publish(host, "standard-2")
    lose_rows()
    published(build="standard-2")
    code, text = said("workspaces_rebuild")
    assert (code, "build 2: standard-2 is there under another number" in text) == (1, True)
    assert "0 workspaces, 0 versions added" in text


def test_rows_are_made_again_from_the_bucket() -> None:
    host = publisher()
    put_and_publish(host, "standard-1")
    put_and_publish(host, "standard-2")
    put_and_publish(host, "alpine-1", image="alpine")
    fields = ("image__name", "number", "name", "manifest", "stored_bytes", "tree_bytes", "made_at")
    before = list(Build.objects.order_by("image__name", "number").values_list(*fields))
    lose_rows()
    assert "left alone" in images_collect().problems[0]
    assert "3 builds of images would be added" in said("workspaces_rebuild", "--dry-run")[1]
    assert not Build.objects.exists()
    assert "3 builds of images added" in said("workspaces_rebuild")[1]
    assert list(Build.objects.order_by("image__name", "number").values_list(*fields)) == before
    assert {i.name: i.head.number for i in Image.objects.all() if i.head} == {"standard": 2, "alpine": 1}
    assert said("workspaces_fsck")[0] == 0
