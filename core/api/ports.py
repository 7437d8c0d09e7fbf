"""Ports that people name."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

PORT_LIMIT = 65_535
SSH_PORT = 22


class PortField(serializers.IntegerField):
    """A port, or none."""

    def __init__(self, **options: Any) -> None:
        limits = {"min_value": 1, "max_value": PORT_LIMIT}
        super().__init__(**limits | {"required": False, "allow_null": True} | options)


class UrlPortField(PortField):
    """A port that a public URL may lead to. Port 22 is SSH's, which has keys of its own."""

    def to_internal_value(self, data: Any) -> int:
        port = int(super().to_internal_value(data))
        if port == SSH_PORT:
            raise serializers.ValidationError("port 22 is for SSH: `access` gives a key to it")
        return port
