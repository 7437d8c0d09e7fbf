"""What every view of the host API has in common."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.views import APIView

from hosts.api.authentication import HostAuthentication, IsHost
from hosts.models import Host


class HostView(APIView):
    """A call of an enrolled host, which sends as often as its work needs."""

    authentication_classes = (HostAuthentication,)
    permission_classes = (IsHost,)
    throttle_classes = ()


def host_of(request: Request) -> Host:
    """Who calls."""
    host = request.auth
    assert isinstance(host, Host)  # noqa: S101 - IsHost has made sure; for the type checker
    return host
