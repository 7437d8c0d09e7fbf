"""The wire form of routes (docs/reference/gateway-api.md)."""

from __future__ import annotations

from typing import Any

from gateways.selectors import Place
from hosts.tickets import ticket_sign
from jobs.standing import Standing

MAX_AGE_S = 2  # so soon another port of a URL is in force; where a host refuses, gateways ask again at once
UNSETTLED_MAX_AGE_S = 1  # of what is not running: somebody may be about to start it


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
    }
