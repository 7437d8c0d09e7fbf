"""What the token of a call must be for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rest_framework.permissions import SAFE_METHODS, BasePermission

from accounts.models import ApiToken
from accounts.scopes import Scope
from accounts.services import token_require

if TYPE_CHECKING:  # DRF imports this module while it defines APIView
    from rest_framework.request import Request
    from rest_framework.views import APIView


class TokenHasScope(BasePermission):
    """By default `read` for what changes nothing and `run` for the rest. A view says what it wants otherwise:

        scopes = {"POST": Scope.ADMIN}

    Whoever is signed in to the dashboard has all scopes.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        if isinstance(request.auth, ApiToken):
            token_require(request.auth, scope_of(view, request.method or ""))
        return True


def scope_of(view: object, method: str) -> Scope:
    own: Mapping[str, Scope] = getattr(view, "scopes", {})
    return own.get(method, Scope.READ if method in SAFE_METHODS else Scope.RUN)
