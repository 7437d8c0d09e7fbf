"""What people send about aliases."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from core.api.ports import UrlPortField
from workspaces.api.inputs import NameField


class AliasInput(serializers.Serializer[Any]):
    """A name for the URL of a workspace. Unknown fields are ignored."""

    subdomain = serializers.CharField(max_length=253, help_text="What stands before the apps domain.")
    workspace_id = NameField(help_text="The workspace's name.")
    port = UrlPortField(help_text="Where its server listens; by default that of the workspace's own URL.")
