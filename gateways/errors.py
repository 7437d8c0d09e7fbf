"""What a gateway is told when it cannot be told where to connect."""

from __future__ import annotations

from core.errors import NotFound, Unauthorized


class BadGatewayKey(Unauthorized):
    code = "bad_gateway_key"
    default_message = "This gateway key is not ours."
    default_remediation = "Give the gateway and this server the same MAGS_GATEWAY_KEY."


class NoSuchLabel(NotFound):
    code = "no_such_label"
    default_message = "There is no sandbox behind this URL."
