"""Who am I, and my tokens."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import services
from accounts.api import serializers
from accounts.api.actor import actor_of
from accounts.models import ApiToken
from accounts.selectors import token_list
from core.api.pagination import PAGE_PARAMETERS, paginated


class MeView(APIView):
    @extend_schema(operation_id="auth_me", responses=serializers.MeOutput)
    def get(self, request: Request) -> Response:
        """Whose credentials these are."""
        user = actor_of(request)
        user.token = request.auth if isinstance(request.auth, ApiToken) else None  # type: ignore[attr-defined]
        return Response(serializers.MeOutput(user).data)


class TokensView(APIView):
    @extend_schema(
        operation_id="auth_token_list",
        parameters=PAGE_PARAMETERS,
        responses=serializers.TokenListOutput,
    )
    def get(self, request: Request) -> Response:
        """Your tokens, without their text."""
        return Response(paginated(request, "tokens", token_list(actor_of(request)), serializers.TokenOutput))

    @extend_schema(
        operation_id="auth_token_create",
        request=serializers.TokenCreateInput,
        responses={201: serializers.TokenCreatedOutput},
    )
    def post(self, request: Request) -> Response:
        """Make a token. Its text is in this answer and nowhere else."""
        wanted = serializers.TokenCreateInput(data=request.data)
        wanted.is_valid(raise_exception=True)
        token, text = services.token_create(actor_of(request), **wanted.validated_data)
        shown = {**serializers.TokenOutput(token).data, "token": text}
        return Response(shown, status=status.HTTP_201_CREATED)


class TokenView(APIView):
    @extend_schema(operation_id="auth_token_revoke", responses={204: None})
    def delete(self, request: Request, token_id: int) -> Response:
        """Refuse a token from now on."""
        services.token_revoke(actor_of(request), token_id)
        return Response(status=status.HTTP_204_NO_CONTENT)
