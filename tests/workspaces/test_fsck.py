"""fsck finds every kind of damage; a rebuild makes the rows again from the bucket alone."""

from __future__ import annotations

import io
import json
from typing import Any

import boto3
import pytest
from django.core.management import call_command
from django.db.models import QuerySet

from accounts.models import User
from tests.workspaces.factories import saved, user
from tests.workspaces.seaweed import ACCESS_KEY, SECRET_KEY
from workspaces import keys, objectstore
from workspaces.models import StoredObject, Version, VersionObject, Workspace
from workspaces.selectors import last_good, workspace_get
from workspaces.services import (
    version_restore,
    versions_prune,
    workspace_delete,
    workspace_fork,
    workspaces_rebuild,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bucket")]


@pytest.fixture
def owner() -> User:
    return user()


def fsck(*options: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("workspaces_fsck", *options, stdout=out)
    except SystemExit as error:
        return int(str(error.code)), out.getvalue()
    return 0, out.getvalue()


def overwrite(settings: Any, key: str, body: bytes) -> None:
    """What no part of Mags does."""
    client = boto3.client(
        "s3", endpoint_url=settings.S3_ENDPOINT, region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
    )  # fmt: skip
    client.put_object(Bucket=settings.S3_BUCKET, Key=key, Body=body)


def segment_of(version: Version) -> tuple[str, bytes]:
    row = version.needs.get(kind="segment")
    key = keys.object_key(keys.tenant(version.workspace.owner_id), row.sha256)
    return key, objectstore.get(key, 10_000) or b""


def test_all_is_well(owner: User) -> None:
    saved(owner, versions=3)
    code, text = fsck()
    assert (code, text.splitlines()[-1].split(":")[0].split(", ")[:2]) == (0, ["3 versions", "6 objects"])
    assert fsck("--shallow")[0] == 0


@pytest.mark.parametrize(
    ("kind", "is_seen_by_size"),
    [
        ("missing", True),
        ("cut", True),
        ("flipped", False),
        ("manifest missing", True),
        ("manifest flipped", True),  # manifests are always read
    ],
)
def test_damage_is_found_marked_and_healed(
    owner: User, settings: Any, kind: str, is_seen_by_size: bool
) -> None:
    saved(owner, versions=3)
    workspace = workspace_get(owner, "w")
    second = Version.objects.get(number=2)
    key, body = segment_of(second)
    if kind.startswith("manifest"):
        key = keys.object_key(keys.tenant(owner.pk), second.manifest)
        body = objectstore.get(key, 10_000) or b""
    if kind.endswith("missing"):
        objectstore.delete([key])
    elif kind == "cut":
        overwrite(settings, key, body[:-1])
    else:
        overwrite(settings, key, bytes([body[0] ^ 1]) + body[1:])
    assert fsck("--shallow")[0] == int(is_seen_by_size)
    code, text = fsck()
    assert code == 1
    [line] = [line for line in text.splitlines() if key in line]
    assert line.startswith(f"u{owner.pk}\tw\t2\t")
    workspace = workspace_get(owner, "w")
    assert workspace.damaged_at is not None
    assert "Version 2" in workspace.damage
    good = last_good(workspace)
    assert good is not None
    assert good.number == 1
    overwrite(settings, key, body)
    assert fsck()[0] == 0
    assert workspace_get(owner, "w").damaged_at is None


def test_a_manifest_that_is_not_what_the_rows_say(owner: User) -> None:
    one, two = saved(owner, versions=2)
    row = two.needs.get(kind="segment")
    VersionObject.objects.filter(version=two, object=row).delete()
    code, text = fsck()
    assert code == 1
    assert "names other objects than the database" in text
    Version.objects.filter(pk=two.pk).update(parent=None)
    assert "continues another version" in fsck()[1]
    assert one.manifest not in fsck()[1]


def test_a_missing_record_is_written_again(owner: User) -> None:
    [one] = saved(owner)
    key = keys.record_key(owner.pk, one.workspace_id, 1)
    body = objectstore.get(key, 10_000)
    objectstore.delete([key])
    code, text = fsck()
    assert code == 1
    assert "was missing and is written again" in text
    assert objectstore.get(key, 10_000) == body
    assert fsck()[0] == 0
    assert workspace_get(owner, "w").damaged_at is None


def rows() -> dict[str, Any]:
    """All that a rebuild brings back, without the rows' own ids."""

    def of(found: QuerySet[Any], *fields: str) -> list[Any]:
        return sorted(found.values_list(*fields), key=str)

    live = Workspace.objects.filter(deleted_at__isnull=True)
    return {
        "workspaces": of(live, "id", "owner", "name", "disk_gb", "image", "head__number", "last_number"),
        "deleted": of(Workspace.objects.filter(deleted_at__isnull=False), "id", "owner", "name", "head"),
        "versions": of(
            Version.objects.all(), "workspace", "number", "parent__manifest", "parent__workspace", "manifest",
            "reason", "raw_bytes", "stored_bytes", "tree_bytes",
        ),
        "objects": of(StoredObject.objects.all(), "owner", "sha256", "size_bytes", "kind"),
        "uses": of(VersionObject.objects.all(), "version__workspace", "version__number", "object__sha256"),
    }  # fmt: skip


def lose_the_database() -> None:
    Workspace.objects.all().delete()
    StoredObject.objects.all().delete()


def make_a_history(owner: User) -> None:
    saved(owner, versions=3)
    workspace = workspace_get(owner, "w")
    workspace_fork(owner, workspace, "fork", number=2)
    version_restore(workspace, 1)
    saved(owner, "gone", versions=2)
    workspace_fork(owner, workspace_get(owner, "gone"), "heir")
    workspace_delete(workspace_get(owner, "gone"))
    versions_prune()
    saved(user(), "theirs")


def test_a_rebuild_brings_everything_back(owner: User) -> None:
    make_a_history(owner)
    before = rows()
    lose_the_database()
    out = io.StringIO()
    call_command("workspaces_rebuild", "--dry-run", stdout=out)
    assert out.getvalue() == "5 workspaces, 8 versions would be added\n"
    assert not Workspace.objects.exists()
    out = io.StringIO()
    call_command("workspaces_rebuild", stdout=out)
    assert out.getvalue() == "5 workspaces, 8 versions added\n"
    assert rows() == before
    assert fsck()[0] == 0
    assert workspaces_rebuild().versions == 0


def test_a_rebuild_adds_what_an_old_database_does_not_know(owner: User) -> None:
    *_, last = saved(owner, versions=3)
    before = rows()
    second = Version.objects.get(number=2)
    Workspace.objects.update(head=second, last_number=2)
    last.delete()
    rebuilt = workspaces_rebuild()
    assert (rebuilt.workspaces, rebuilt.versions, rebuilt.problems) == (0, 1, [])
    assert rows() == before


def test_what_cannot_be_rebuilt_is_said(owner: User, settings: Any) -> None:
    first, second, third = saved(owner, versions=3)
    saved(owner, "odd")
    lose_the_database()
    objectstore.delete([keys.object_key(keys.tenant(owner.pk), second.manifest)])
    odd = next(e.key for e in objectstore.walk(keys.records_prefix(owner.pk)) if "odd" in str(body_of(e.key)))
    record = json.loads(body_of(odd))
    overwrite(settings, odd, json.dumps(record | {"owner": owner.pk + 1}).encode())
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("workspaces_rebuild", stdout=out)
    assert "w version 2: " in out.getvalue()
    assert f"w version 3: the version that it continues ({second.manifest}) is not there" in out.getvalue()
    assert f"{odd}: is about something else than its name says" in out.getvalue()
    assert list(Version.objects.values_list("manifest", flat=True)) == [first.manifest]
    assert third.manifest not in str(rows())


def test_a_name_that_is_taken_by_now(owner: User) -> None:
    [one] = saved(owner)
    lose_the_database()
    Workspace.objects.create(owner=owner, name="w", disk_gb=2)
    assert len(workspaces_rebuild().problems) == 1
    assert workspace_get(owner, f"w-{one.workspace_id.hex[:12]}").pk == one.workspace_id


def body_of(key: str) -> bytes:
    return objectstore.get(key, 10_000) or b""
