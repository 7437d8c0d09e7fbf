"""What staff does to a host: one form for each, which calls the service that the command line calls."""

from __future__ import annotations

from typing import Any

from accounts.models import User
from dashboard.deeds import DeedForm
from hosts.models import Host
from hosts.services import host_drain, host_revoke


class HostForm(DeedForm):
    """A form about one host."""

    def __init__(self, actor: User, host: Host, data: Any = None) -> None:
        super().__init__(actor, data)
        self.host = host


class DrainForm(HostForm):
    done = "drained"

    def _perform(self, wanted: dict[str, Any]) -> None:  # noqa: ARG002 - it asks for nothing
        host_drain(self.host.name, is_draining=True, by=self.actor.email)


class UndrainForm(HostForm):
    done = "undrained"

    def _perform(self, wanted: dict[str, Any]) -> None:  # noqa: ARG002 - it asks for nothing
        host_drain(self.host.name, is_draining=False, by=self.actor.email)


class RevokeForm(HostForm):
    done = "revoked"

    def _perform(self, wanted: dict[str, Any]) -> None:  # noqa: ARG002 - it asks for nothing
        host_revoke(self.host.name, by=self.actor.email)


FORMS: dict[str, type[HostForm]] = {"drain": DrainForm, "undrain": UndrainForm, "revoke": RevokeForm}
