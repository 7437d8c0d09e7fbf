"""Making and releasing aliases: forms that call the API's own services."""

from __future__ import annotations

from typing import Any

from django import forms

from aliases.selectors import alias_get
from aliases.services import alias_create, alias_release
from core.api.ports import PORT_LIMIT, SSH_PORT
from dashboard.deeds import DeedForm

PORT_RULE = f"Enter a port from 1 to {PORT_LIMIT}, but not {SSH_PORT}; or nothing."


class CreateForm(DeedForm):
    done = "created"
    subdomain = forms.CharField(error_messages={"required": "Enter a name."})
    workspace = forms.CharField(error_messages={"required": "Enter the name of a workspace."})
    port = forms.IntegerField(
        required=False, min_value=1, max_value=PORT_LIMIT,
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), PORT_RULE),
    )  # fmt: skip

    def clean_port(self) -> int | None:
        port: int | None = self.cleaned_data["port"]
        if port == SSH_PORT:
            raise forms.ValidationError(PORT_RULE)
        return port

    def _perform(self, wanted: dict[str, Any]) -> None:
        alias_create(self.actor, wanted["subdomain"].lower(), wanted["workspace"], wanted["port"])


class ReleaseForm(DeedForm):
    done = "released"
    subdomain = forms.CharField()

    def _perform(self, wanted: dict[str, Any]) -> None:
        alias_release(alias_get(self.actor, wanted["subdomain"]))


FORMS: dict[str, type[DeedForm]] = {"create": CreateForm, "release": ReleaseForm}
