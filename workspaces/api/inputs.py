"""What people send about workspaces."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from workspaces.limits import DISK_GB_LIMIT, NAME

NUMBER_LIMIT = 2**31 - 1
NAME_RULE = "1 to 63 letters, digits, dots, dashes or underscores, beginning with a letter or digit"


class NameField(serializers.CharField):
    """A workspace's name, exactly as it is sent."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"trim_whitespace": False} | options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or not NAME.fullmatch(data):
            raise serializers.ValidationError(f"must be {NAME_RULE}")
        return data


class WorkspacePatchInput(serializers.Serializer[Any]):
    disk_gb = serializers.IntegerField(min_value=1, max_value=DISK_GB_LIMIT)


class RestoreInput(serializers.Serializer[Any]):
    version = serializers.IntegerField(min_value=1, max_value=NUMBER_LIMIT)


class ForkInput(serializers.Serializer[Any]):
    name = NameField(help_text="Of the new workspace.")
    version = serializers.IntegerField(
        min_value=1, max_value=NUMBER_LIMIT, required=False, allow_null=True, help_text="Default: the newest."
    )


class DiffQuery(serializers.Serializer[Any]):
    """`from` is a keyword of Python's, hence the way it is declared."""

    to = serializers.IntegerField(
        min_value=1, max_value=NUMBER_LIMIT, required=False, help_text="Default: the newest version."
    )

    def get_fields(self) -> dict[str, Any]:
        before = serializers.IntegerField(
            min_value=1, max_value=NUMBER_LIMIT, required=False, help_text="Default: the version before `to`."
        )
        return {"from": before, **super().get_fields()}
