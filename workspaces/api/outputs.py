"""The shape of what people get about workspaces."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from workspaces.models import Version, Workspace
from workspaces.states import VersionReason
from workspaces.wire import version_object, version_objects, workspace_object, workspace_objects


class DamageOutput(serializers.Serializer[Any]):
    message = serializers.CharField()
    at = serializers.DateTimeField()
    last_good_version = serializers.IntegerField(allow_null=True, help_text="What can be restored.")


class WorkspaceRows(serializers.ListSerializer[Any]):
    """Many at once: who uses them is asked once."""

    def to_representation(self, data: Any) -> list[Any]:
        return workspace_objects(data)


class WorkspaceOutput(serializers.Serializer[Workspace]):
    """A workspace. All keys are always there."""

    id = serializers.UUIDField()
    workspace_id = serializers.CharField(help_text="The name, as jobs name it.")
    name = serializers.CharField()
    size_bytes = serializers.IntegerField(allow_null=True, help_text="Of the files in the newest version.")
    stored_bytes = serializers.IntegerField(help_text="What its versions take in the object store.")
    version = serializers.IntegerField(allow_null=True, help_text="The newest version.")
    versions = serializers.IntegerField(help_text="How many there are.")
    durable_at = serializers.DateTimeField(allow_null=True, help_text="When it was last saved.")
    disk_gb = serializers.IntegerField()
    image = serializers.CharField()
    is_saved = serializers.BooleanField(help_text="False: it lies on its host only, for a short time.")
    damaged = DamageOutput(allow_null=True)
    host = serializers.CharField(allow_null=True)
    active_job = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    used_at = serializers.DateTimeField()

    class Meta:
        list_serializer_class = WorkspaceRows

    def to_representation(self, instance: Workspace) -> dict[str, Any]:
        return workspace_object(instance)


class WorkspaceListOutput(serializers.Serializer[Any]):
    workspaces = WorkspaceOutput(many=True)
    total = serializers.IntegerField()
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()


class VersionRows(serializers.ListSerializer[Any]):
    """Many at once: what is damaged is asked once."""

    def to_representation(self, data: Any) -> list[Any]:
        return version_objects(data)


class VersionOutput(serializers.Serializer[Version]):
    version = serializers.IntegerField()
    sha256 = serializers.CharField(help_text="The version's identity.")
    is_head = serializers.BooleanField(help_text="The newest one: what the next run sees.")
    reason = serializers.ChoiceField(list(VersionReason))
    size_bytes = serializers.IntegerField(help_text="Of the files.")
    stored_bytes = serializers.IntegerField(help_text="What this version added to the object store.")
    made_at = serializers.DateTimeField()
    durable_at = serializers.DateTimeField(allow_null=True)
    is_damaged = serializers.BooleanField(help_text="It, or one that it builds on: it cannot be restored.")

    class Meta:
        list_serializer_class = VersionRows

    def to_representation(self, instance: Version) -> dict[str, Any]:
        return version_object(instance)


class VersionListOutput(serializers.Serializer[Any]):
    versions = VersionOutput(many=True)
    total = serializers.IntegerField()
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()


class DiffTotalsOutput(serializers.Serializer[Any]):
    added = serializers.IntegerField()
    changed = serializers.IntegerField()
    removed = serializers.IntegerField()


class DiffOutput(serializers.Serializer[Any]):
    """Paths have no leading slash and are sorted; bytes of a name that are not UTF-8 are lone surrogates
    (`\\udcff` for the byte ff)."""

    to = serializers.IntegerField()
    added = serializers.ListField(child=serializers.CharField())
    changed = serializers.ListField(child=serializers.CharField())
    removed = serializers.ListField(child=serializers.CharField())
    totals = DiffTotalsOutput(help_text="Of all, also where the lists are cut.")
    truncated = serializers.BooleanField(help_text="There are more than are listed.")

    def get_fields(self) -> dict[str, Any]:
        return {"from": serializers.IntegerField(), **super().get_fields()}
