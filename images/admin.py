"""Images in /admin/, to look at: hosts publish them."""

from __future__ import annotations

from django.contrib import admin

from core.admin import ReadOnlyAdmin
from images.models import Build, Image


@admin.register(Image)
class ImageAdmin(ReadOnlyAdmin):
    list_display = ("name", "head", "last_number", "created_at")
    list_select_related = ("head",)
    search_fields = ("name",)
    ordering = ("name",)


@admin.register(Build)
class BuildAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        "image",
        "number",
        "tree_bytes",
        "stored_bytes",
        "host",
        "committed_at",
        "retired_at",
        "damaged_at",
    )
    list_filter = ("image",)
    list_select_related = ("image", "host")
    search_fields = ("name", "manifest")
    ordering = ("-committed_at",)
