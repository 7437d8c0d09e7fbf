"""What hosts send, checked field by field: a host is trusted with its own work only."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from hosts.services import Capacity

INTEGER_LIMIT = 2**31 - 1  # of the databases' columns
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z"


class EnrolInput(serializers.Serializer[Any]):
    token = serializers.CharField(max_length=200)
    name = serializers.RegexField(NAME_PATTERN)
    agent_version = serializers.CharField(max_length=40)


class CapacityInput(serializers.Serializer[Any]):
    sandboxes = serializers.IntegerField(min_value=0, max_value=INTEGER_LIMIT)
    memory_mb = serializers.IntegerField(min_value=0, max_value=INTEGER_LIMIT)
    vcpus = serializers.IntegerField(min_value=0, max_value=INTEGER_LIMIT)


class HeartbeatInput(serializers.Serializer[Any]):
    boot_epoch = serializers.IntegerField(min_value=1, max_value=INTEGER_LIMIT)
    capacity = CapacityInput()
    draining = serializers.BooleanField()

    @property
    def capacity_offered(self) -> Capacity:
        return Capacity(**self.validated_data["capacity"])
