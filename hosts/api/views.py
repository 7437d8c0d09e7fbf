"""The part of the host API that is about the host itself (docs/reference/host-api.md)."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from hosts import services
from hosts.api.caller import HostView
from hosts.api.serializers import EnrolInput, HeartbeatInput
from hosts.tickets import ticket_keys


@extend_schema(exclude=True)
class EnrolView(APIView):
    """Open to everybody with a one-time token; throttled by address."""

    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Request) -> Response:
        sent = EnrolInput(data=request.data)
        sent.is_valid(raise_exception=True)
        host, key = services.host_enrol(**sent.validated_data)
        return Response({"host_id": str(host.pk), "key": key}, status=status.HTTP_201_CREATED)


@extend_schema(exclude=True)
class HeartbeatView(HostView):
    def post(self, request: Request) -> Response:
        sent = HeartbeatInput(data=request.data)
        sent.is_valid(raise_exception=True)
        is_draining = services.host_heartbeat(
            request.auth.pk,
            sent.validated_data["boot_epoch"],
            capacity=sent.capacity_offered,
            is_agent_draining=sent.validated_data["draining"],
        )
        return Response({"draining": is_draining, "ticket_keys": ticket_keys()})
