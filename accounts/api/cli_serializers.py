"""The wire form of logins of the command line."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class DeviceInput(serializers.Serializer[Any]):
    host_name = serializers.CharField(
        max_length=100, help_text="Of the machine that asks; shown to the person."
    )
    system = serializers.CharField(max_length=60, help_text="Its operating system.")


class DeviceOutput(serializers.Serializer[Any]):
    device_code = serializers.CharField(help_text="To ask for the token with. A secret.")
    user_code = serializers.CharField(help_text="For the person to type.")
    verification_uri = serializers.CharField(help_text="Where to type it.")
    expires_in = serializers.IntegerField(help_text="Seconds.")
    interval = serializers.IntegerField(help_text="Seconds between two questions, at least.")


class CliTokenInput(serializers.Serializer[Any]):
    device_code = serializers.CharField(required=False, default="", max_length=200)
    code = serializers.CharField(required=False, default="", max_length=200)
    verifier = serializers.CharField(required=False, default="", max_length=200)
    redirect_uri = serializers.CharField(required=False, default="", max_length=200)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if bool(attrs["device_code"]) == bool(attrs["code"]):
            raise serializers.ValidationError("give either a device_code or a code")
        return attrs


class CliTokenOutput(serializers.Serializer[Any]):
    token = serializers.CharField(help_text="It is in this answer and nowhere else.")
    email = serializers.CharField(help_text="Whose it is.")
