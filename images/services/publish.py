"""A build that a host has put becomes the image's head, unless it was made before the present one.

As with versions (`workspaces.services.commit`): until the transaction the build does not exist; after it,
what may be missing is its commit record, which the repeated call or a sweep writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from core.wakeup import wake
from hosts.models import Host
from hosts.services import hosts_image_revision_next
from images import keys
from images.errors import MayNotPublish
from images.models import Build, Image
from images.services.objects import manifest_read, objects_attach, objects_claim
from images.services.rebuild import images_rebuild
from images.services.records import record_complete
from workspaces.manifests import Manifest
from workspaces.services.objects import sizes_require


@dataclass(frozen=True, slots=True)
class Publication:
    """What a host says of a build whose objects it has put. Names were checked."""

    image: str
    build: str
    manifest: str
    made_at: datetime
    tree_bytes: int


def build_publish(host: Host, said: Publication) -> Build:
    """Publish a build and answer it once it is durable. A build that is published already is answered as it
    is, whoever put it: its name says that it is the same.

    Raises MayNotPublish, MissingObjects, BadManifest, ObjectStoreUnavailable.
    """
    require_publisher(host)
    build = _published(said)
    if build is None and not Image.objects.filter(name=said.image).exists():
        images_rebuild()  # a lost database: builds that workspaces stand on, and their numbers, are taken
        build = _published(said)
    if build is None:
        manifest, size_bytes = manifest_read(said.manifest)
        sizes = {**manifest.objects, said.manifest: size_bytes}
        objects_claim(sizes)
        sizes_require(keys.TENANT, sizes)
        build = _publish(host, said, manifest, sizes)
    return record_complete(build)


def require_publisher(host: Host) -> None:
    if not host.publishes_images:
        raise MayNotPublish


def _published(said: Publication) -> Build | None:
    found = Build.objects.filter(image__name=said.image, name=said.build)
    found.filter(retired_at__isnull=False).update(retired_at=None)  # somebody wants it again
    return found.select_related("image").first()


def _publish(host: Host, said: Publication, manifest: Manifest, sizes: dict[str, int]) -> Build:
    Image.objects.get_or_create(name=said.image)
    with transaction.atomic():
        told = hosts_image_revision_next()  # hosts' rows come first, as everywhere
        image = Image.objects.select_for_update().get(name=said.image)
        if (build := _published(said)) is not None:  # by the same call, sent twice
            return build
        build = Build.objects.create(
            image=image, number=image.last_number + 1, name=said.build, manifest=said.manifest, host=host,
            raw_bytes=manifest.raw_bytes, stored_bytes=sum(sizes.values()), tree_bytes=said.tree_bytes,
            made_at=said.made_at, committed_at=timezone.now(),
        )  # fmt: skip
        objects_attach(build, sizes)
        image.last_number = build.number
        if image.head is None or build.made_at >= image.head.made_at:  # else an older one is brought back
            image.head = build
        image.save(update_fields=["head", "last_number"])
        transaction.on_commit(partial(_tell, told))
    return build


def _tell(hosts: list[UUID]) -> None:
    for host_id in hosts:
        wake(f"host.{host_id}")
