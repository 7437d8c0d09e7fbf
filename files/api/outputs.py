"""The shape of what people send and get about uploads."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from files.models import Upload
from files.wire import file_object


class FileInput(serializers.Serializer[Any]):
    """A form with one file in the part `file`."""

    file = serializers.FileField()


class FileOutput(serializers.Serializer[Upload]):
    file_id = serializers.UUIDField()
    name = serializers.CharField(help_text="Its name under /uploads in a job's sandbox.")
    size = serializers.IntegerField(help_text="Bytes.")
    sha256 = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(help_text="It is removed then.")

    def to_representation(self, instance: Upload) -> dict[str, Any]:
        return file_object(instance)


class FileListOutput(serializers.Serializer[Any]):
    files = FileOutput(many=True)
    total = serializers.IntegerField()
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()
