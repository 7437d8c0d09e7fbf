"""The wire form of routes (docs/reference/gateway-api.md)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from gateways.selectors import Place
from hosts.tickets import ticket_sign
from jobs.standing import Standing
from sandboxes.models import Sandbox

MAX_AGE_S = 2  # so soon another port of a URL is in force; where a host refuses, gateways ask again at once
UNSETTLED_MAX_AGE_S = 1  # of what is not running: somebody may be about to start it
SETTLING = timedelta(seconds=30)  # after that, who does not listen yet is not waited for


def route_object(place: Place) -> dict[str, Any]:
    """With a ticket while the sandbox runs."""
    sandbox = place.sandbox
    if place.standing is not Standing.RUNNING or sandbox is None or sandbox.host is None:
        return {"state": place.standing, "max_age_s": UNSETTLED_MAX_AGE_S}
    host = sandbox.host
    ticket = ticket_sign(host.pk, sandbox.pk, sandbox.epoch, place.target)
    return {
        "state": place.standing,
        "max_age_s": MAX_AGE_S,
        "host": {"address": host.data_address, "data_port": host.data_port},
        "sandbox_id": sandbox.pk,
        **({} if place.target == "ssh" else {"port": place.target}),
        "ticket": ticket.text,
        "ticket_expires_at": ticket.expires_at * 1000,
        "settling_ms": _settling_ms(sandbox),
    }


def _settling_ms(sandbox: Sandbox) -> int:
    """How long yet its start-up command may need until its server listens."""
    if not sandbox.startup_command or sandbox.up_at is None:
        return 0
    left = sandbox.up_at + SETTLING - timezone.now()
    return max(0, round(left / timedelta(milliseconds=1)))
