"""Every read of images. They are everybody's."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import (
    Count,
    DateTimeField,
    Exists,
    ExpressionWrapper,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
)

from images.errors import BuildNotFound
from images.models import Build, Image
from workspaces.models import Workspace
from workspaces.selectors import LIVE

BUILT_IN = "standard"  # every host can build it, published or not


def image_names() -> list[str]:
    """What a job may name."""
    published = Image.objects.filter(head__isnull=False).values_list("name", flat=True)
    return sorted({BUILT_IN, *published})


def image_exists(name: str) -> bool:
    return name == BUILT_IN or Image.objects.filter(name=name, head__isnull=False).exists()


def image_list() -> QuerySet[Image]:
    """Published images with what people want to know, by name."""
    offered = Count("builds", filter=Q(builds__retired_at__isnull=True))
    listed = Image.objects.filter(head__isnull=False).select_related("head", "head__host")
    return listed.annotate(builds_count=offered).order_by("name")


def heads() -> list[Build]:
    """The builds that new sandboxes stand on."""
    found = Image.objects.filter(head__isnull=False).select_related("head").order_by("name")
    builds = []
    for image in found:
        if image.head is not None:
            image.head.image = image
            builds.append(image.head)
    return builds


def head_name(image: str) -> str:
    """The build that a new workspace is to stand on; empty where none is published, or whole."""
    whole = Image.objects.filter(name=image, head__damaged_at__isnull=True)
    return whole.values_list("head__name", flat=True).first() or ""


def build_get(image: str, name: str) -> Build:
    """Raises BuildNotFound. One that is being given up is still there."""
    found = Build.objects.filter(image__name=image, name=name).select_related("image").first()
    if found is None:
        raise BuildNotFound
    return found


def builds_unneeded() -> QuerySet[Build]:
    """Builds that are no head and that no workspace stands on, or may stand on: one that is not saved yet
    began with what its host had at the time. That follows the head as soon as it can be fetched."""
    later = Build.objects.filter(image=OuterRef("image"), number__gt=OuterRef("number")).order_by("number")
    lag = timedelta(hours=settings.COLLECT_GRACE_HOURS)
    used_until = ExpressionWrapper(
        Subquery(later.values("committed_at")[:1]) + lag, output_field=DateTimeField()
    )
    builds = Build.objects.annotate(used_until=used_until)
    heads = Image.objects.filter(head=OuterRef("pk"))
    same = Workspace.objects.filter(LIVE, image=OuterRef("image__name"))
    pinned = same.filter(image_build=OuterRef("name"))
    unsaved = same.filter(image_build="", host__isnull=False, created_at__lt=OuterRef("used_until"))
    return builds.filter(~Exists(heads), ~Exists(pinned), ~Exists(unsaved))


def builds_retired(before: datetime) -> QuerySet[Build]:
    """Retired for so long that nobody can be fetching them."""
    return builds_unneeded().filter(retired_at__lt=before).select_related("image")
