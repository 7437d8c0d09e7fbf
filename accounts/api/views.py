"""Who am I, and my tokens."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import confirmation, services
from accounts.api import serializers
from accounts.api.actor import actor_of
from accounts.models import ApiToken
from accounts.scopes import Scope
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
    scopes: ClassVar = {"GET": Scope.ADMIN, "HEAD": Scope.ADMIN, "POST": Scope.ADMIN}

    @extend_schema(
        operation_id="auth_token_list",
        parameters=PAGE_PARAMETERS,
        responses=serializers.TokenListOutput,
    )
    def get(self, request: Request) -> Response:
        """Your tokens, without their text. Their names and addresses are for who manages them: with a token,
        this needs the scope `admin`; `GET /auth/me` shows that token itself."""
        return Response(paginated(request, "tokens", token_list(actor_of(request)), serializers.TokenOutput))

    @extend_schema(
        operation_id="auth_token_create",
        request=serializers.TokenCreateInput,
        responses={201: serializers.TokenCreatedOutput},
    )
    def post(self, request: Request) -> Response:
        """Make a token. Its text is in this answer and nowhere else. In a browser's session one with the
        scope `admin` needs a sign-in that is not long ago (403 `confirmation_needed`)."""
        wanted = serializers.TokenCreateInput(data=request.data)
        wanted.is_valid(raise_exception=True)
        given = wanted.validated_data
        if Scope.ADMIN in given["scopes"] and not isinstance(request.auth, ApiToken):
            confirmation.require(request._request)
        token, text = services.token_create(
            actor_of(request), given["name"], given["expires_at"],
            scopes=given["scopes"], workspace_name=given["workspace"] or "", request=request._request,
        )  # fmt: skip
        shown = {**serializers.TokenOutput(token).data, "token": text}
        return Response(shown, status=status.HTTP_201_CREATED)


class TokenView(APIView):
    scopes: ClassVar = {"DELETE": Scope.READ}

    @extend_schema(operation_id="auth_token_revoke", responses={204: None})
    def delete(self, request: Request, token_id: int) -> Response:
        """Refuse a token from now on, and close the connections that it holds open. Every token may revoke
        itself."""
        token = request.auth
        if isinstance(token, ApiToken) and token.pk != token_id:
            services.token_require(token, Scope.ADMIN)
        services.token_revoke(actor_of(request), token_id, request._request)
        return Response(status=status.HTTP_204_NO_CONTENT)
