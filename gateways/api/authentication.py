"""A gateway proves itself by the key that all gateways share."""

from __future__ import annotations

import secrets
from typing import Literal

from django.conf import settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from gateways.errors import BadGatewayKey

GATEWAY: Literal["gateway"] = "gateway"  # `request.auth` of one


class GatewayAuthentication(BaseAuthentication):
    """`Authorization: Bearer <gateway key>`; there is no user."""

    def authenticate(self, request: Request) -> tuple[None, str]:
        kind, _, key = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        wanted = settings.GATEWAY_KEY
        is_good = kind.lower() == "bearer" and secrets.compare_digest(key.strip().encode(), wanted.encode())
        if not wanted or not is_good:
            raise BadGatewayKey
        return None, GATEWAY

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="mags gateway"'


class IsGateway(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return bool(request.auth == GATEWAY)
