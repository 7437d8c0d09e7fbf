"""How the OpenAPI document is made."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction
from rest_framework import serializers


class ErrorOutput(serializers.Serializer[Any]):
    """Every answer of status 400 and above."""

    error = serializers.CharField(help_text="What happened, for people.")
    code = serializers.CharField(help_text="What happened, for programs: a stable word.")
    remediation = serializers.CharField(help_text="What to do about it.")
    retryable = serializers.BooleanField(help_text="Whether the same request may succeed later.")
    request_id = serializers.CharField(help_text="Names this request in the server's log.")
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.CharField(), required=False, help_text="What is wrong with which input field."
    )


class MagsSchema(AutoSchema):
    """Adds the error answer to every operation."""

    def _get_response_bodies(self, direction: Direction = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        error = self._get_response_for_code(  # type: ignore[no-untyped-call]
            ErrorOutput, "default", direction=direction
        )
        return {**bodies, "default": {**error, "description": "Anything went wrong."}}


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "accounts.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "mags_…"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "accounts.api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "mags_session",
            "description": "The dashboard's cookie; writing calls also need the header X-CSRFToken.",
        }


def public_endpoints(endpoints: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Only v1: v2 is the same again, and the hosts' API has its own page in docs/reference."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/v1/")]
