"""Where a sandbox's host takes commands for it."""

from __future__ import annotations

from execs.errors import NoDataPort
from execwire.client import Place
from hosts.tickets import ticket_sign
from sandboxes.models import Sandbox


def place_of(sandbox: Sandbox | None) -> Place:
    """With a fresh ticket. Raises NoDataPort."""
    host = sandbox.host if sandbox else None
    if sandbox is None or host is None or host.data_port is None or host.data_address is None:
        raise NoDataPort
    ticket = ticket_sign(host.pk, sandbox.pk, sandbox.epoch, "exec")
    return Place(host.data_address, host.data_port, sandbox.pk, ticket.text)
