"""The wire form of users and tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from accounts.models import ApiToken, User
from accounts.scopes import SCOPES, WORKSPACE_NAME, Scope


class TokenCreateInput(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(SCOPES),
        allow_empty=False,
        max_length=len(SCOPES),
        required=False,
        default=[Scope.RUN.value],
        help_text='What it may be used for; each holds the ones before it. Default ["run"].',
    )
    workspace = serializers.RegexField(
        WORKSPACE_NAME,
        max_length=63,
        required=False,
        allow_null=True,
        default=None,
        help_text="The one workspace that it is for; null: all.",
        error_messages={"invalid": "is not the name of a workspace"},
    )

    def validate_expires_at(self, value: datetime | None) -> datetime | None:
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError("must be in the future")
        return value


class TokenOutput(serializers.ModelSerializer[ApiToken]):
    scopes = serializers.ListField(child=serializers.ChoiceField(SCOPES))
    workspace = serializers.SerializerMethodField(help_text="The only one that it is for; null: all.")
    last_used_address = serializers.SerializerMethodField(help_text="From where it was used last.")

    def get_workspace(self, token: ApiToken) -> str | None:
        return token.workspace_name or None

    def get_last_used_address(self, token: ApiToken) -> str | None:
        return token.last_used_address or None

    class Meta:
        model = ApiToken
        fields: tuple[str, ...] = (
            "id", "name", "prefix", "scopes", "workspace", "created_at", "expires_at", "last_used_at",
            "last_used_address",
        )  # fmt: skip
        read_only_fields = fields


class TokenCreatedOutput(TokenOutput):
    token = serializers.CharField(help_text="The token itself. It is shown only here.")

    class Meta(TokenOutput.Meta):
        fields = (*TokenOutput.Meta.fields, "token")
        read_only_fields = fields


class TokenListOutput(serializers.Serializer[Any]):
    tokens = TokenOutput(many=True)
    total = serializers.IntegerField()
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()


class MeOutput(serializers.ModelSerializer[User]):
    is_admin = serializers.BooleanField(source="is_staff")
    token = TokenOutput(allow_null=True, help_text="The token of this call; null for a session.")

    class Meta:
        model = User
        fields = ("id", "email", "name", "is_admin", "created_at", "token")
        read_only_fields = fields
