"""Every write to images."""

from images.services.check import images_check
from images.services.collect import builds_prune, builds_retire, images_collect
from images.services.publish import Publication, build_publish
from images.services.rebuild import images_rebuild
from images.services.records import record_complete, records_complete

__all__ = [
    "Publication",
    "build_publish",
    "builds_prune",
    "builds_retire",
    "images_check",
    "images_collect",
    "images_rebuild",
    "record_complete",
    "records_complete",
]
