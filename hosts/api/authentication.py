"""A host proves itself by its own key."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from hosts.errors import BadHostKey
from hosts.models import Host
from hosts.selectors import host_by_key_digest
from hosts.services import digest_of


class HostAuthentication(BaseAuthentication):
    """`Authorization: Bearer magshost_…`; `request.auth` is the Host and there is no user."""

    def authenticate(self, request: Request) -> tuple[None, Host]:
        kind, _, key = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        host = host_by_key_digest(digest_of(key.strip())) if kind.lower() == "bearer" else None
        if host is None:
            raise BadHostKey
        return None, host

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="mags host"'


class IsHost(BasePermission):
    """The caller is an enrolled host."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return isinstance(request.auth, Host)
