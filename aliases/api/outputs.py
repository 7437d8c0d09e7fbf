"""The shape of what people get about aliases."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from aliases.models import Alias
from core.labels import label_url
from workspaces.wire import stamp


class AliasOutput(serializers.Serializer[Alias]):
    id = serializers.UUIDField()
    subdomain = serializers.CharField()
    workspace_id = serializers.CharField(help_text="The workspace's name.")
    port = serializers.IntegerField(allow_null=True)
    url = serializers.CharField()
    created_at = serializers.DateTimeField()

    def to_representation(self, instance: Alias) -> dict[str, Any]:
        return {
            "id": str(instance.pk),
            "subdomain": instance.name,
            "workspace_id": instance.workspace_name,
            "port": instance.port,
            "url": label_url(instance.name),
            "created_at": stamp(instance.created_at),
        }


class AliasListOutput(serializers.Serializer[Any]):
    aliases = AliasOutput(many=True)
    total = serializers.IntegerField()
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()
