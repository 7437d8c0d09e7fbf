"""The shape of what people get about images."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class ImageOutput(serializers.Serializer[Any]):
    """An image. What is null is not known of one that no host has published yet."""

    name = serializers.CharField(help_text="As `rootfs_type` names it.")
    build = serializers.CharField(allow_null=True, help_text="What new sandboxes stand on.")
    builds = serializers.IntegerField(help_text="How many are published.")
    size_bytes = serializers.IntegerField(allow_null=True, help_text="Of the files.")
    stored_bytes = serializers.IntegerField(
        allow_null=True, help_text="What the build takes in the object store."
    )
    created_at = serializers.DateTimeField(allow_null=True, help_text="When the build was published.")


class ImageListOutput(serializers.Serializer[Any]):
    images = ImageOutput(many=True)
    total = serializers.IntegerField()
