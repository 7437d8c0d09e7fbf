"""What `mags login` asks: a code to show, and its token once somebody has consented."""

from __future__ import annotations

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import cli_logins
from accounts.api import cli_serializers as serializers
from accounts.cli_logins import DEVICE_S, INTERVAL_S, Asking
from core import bucket
from core.addresses import client_address
from core.errors import Throttled

BEGINNINGS_PER_MINUTE = 20  # of one address


class _OpenView(APIView):
    """For whoever has no token yet."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class CliDeviceView(_OpenView):
    @extend_schema(
        operation_id="cli_device_begin",
        auth=[],
        request=serializers.DeviceInput,
        responses={200: serializers.DeviceOutput},
    )
    def post(self, request: Request) -> Response:
        """Begin a login on a machine without a browser: a code for a person to type at `verification_uri`,
        and one for `POST /auth/cli/token`, to be asked every `interval` seconds."""
        form = serializers.DeviceInput(data=request.data)
        form.is_valid(raise_exception=True)
        address = client_address(request)
        wait_s = bucket.take(f"cli:{address}", BEGINNINGS_PER_MINUTE, BEGINNINGS_PER_MINUTE)
        if wait_s:
            raise Throttled("Too many logins were begun from this address.", retry_after_s=wait_s)
        asking = Asking.told(form.validated_data["host_name"], form.validated_data["system"], address)
        device_code, user_code = cli_logins.device_begin(asking)
        return Response(
            {
                "device_code": device_code,
                "user_code": user_code,
                "verification_uri": f"{settings.PUBLIC_URL}/device/",
                "expires_in": DEVICE_S,
                "interval": INTERVAL_S,
            }
        )


class CliTokenView(_OpenView):
    @extend_schema(
        operation_id="cli_token",
        auth=[],
        request=serializers.CliTokenInput,
        responses={200: serializers.CliTokenOutput},
    )
    def post(self, request: Request) -> Response:
        """The token that somebody has consented to, once: for a `device_code`, or for the `code` that came to
        the `redirect_uri`, with the `verifier` of its challenge. Until then 400 `authorization_pending`, or
        `slow_down` where the question came too soon."""
        form = serializers.CliTokenInput(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        if given["device_code"]:
            token, text = cli_logins.device_token(given["device_code"], request._request)
        else:
            token, text = cli_logins.loopback_token(
                given["code"], given["verifier"], given["redirect_uri"], request._request
            )
        return Response(serializers.CliTokenOutput({"token": text, "email": token.owner.email}).data)
