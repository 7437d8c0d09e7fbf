"""What people do to a workspace on its page: one form for each, which calls the API's own service."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.urls import reverse

from accounts.models import User
from dashboard.deeds import DeedForm
from workspaces.api.inputs import NAME_RULE, NUMBER_LIMIT
from workspaces.limits import DISK_GB_LIMIT, NAME
from workspaces.models import Workspace
from workspaces.services import version_restore, workspace_delete, workspace_fork, workspace_resize

# Where the API's advice is a call of the API.
ADVICE = {"version_not_found": "Choose one of the versions in the list."}
DISK_RULE = f"Enter a whole number from 1 to {DISK_GB_LIMIT}."
VERSION_RULE = "Enter the number of one of the versions in the list."


def workspace_name(value: str) -> None:
    if not NAME.fullmatch(value):
        raise ValidationError(f"A name is {NAME_RULE}.")


class WorkspaceForm(DeedForm):
    """A form about one workspace."""

    advice = ADVICE

    def __init__(self, actor: User, workspace: Workspace, data: Any = None) -> None:
        super().__init__(actor, data)
        self.workspace = workspace

    def next_href(self) -> str:
        # With a fragment: otherwise browsers keep that of the form.
        return f"{reverse('dashboard:workspace', args=[self.workspace.name])}?done={self.done}#main"


class RestoreForm(WorkspaceForm):
    done = "restored"
    version = forms.IntegerField(min_value=1, max_value=NUMBER_LIMIT)

    def _perform(self, wanted: dict[str, Any]) -> None:
        version_restore(self.workspace, wanted["version"])


class ForkForm(WorkspaceForm):
    done = "forked"
    name = forms.CharField(
        validators=[workspace_name], error_messages={"required": "Enter a name for the new workspace."}
    )
    version = forms.IntegerField(
        required=False, min_value=1, max_value=NUMBER_LIMIT,
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), VERSION_RULE),
    )  # fmt: skip

    def _perform(self, wanted: dict[str, Any]) -> None:
        workspace_fork(self.actor, self.workspace, wanted["name"], number=wanted["version"])

    def next_href(self) -> str:
        return f"{reverse('dashboard:workspace', args=[self.cleaned_data['name']])}?done={self.done}#main"


class DiskForm(WorkspaceForm):
    done = "resized"
    disk_gb = forms.IntegerField(
        min_value=1, max_value=DISK_GB_LIMIT,
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), DISK_RULE),
    )  # fmt: skip

    def _perform(self, wanted: dict[str, Any]) -> None:
        workspace_resize(self.workspace, wanted["disk_gb"])


class DeleteForm(WorkspaceForm):
    """Asks for the name, so that nobody deletes another workspace than they think."""

    done = "deleted"
    typed = forms.CharField(error_messages={"required": "Type the workspace's name."})

    def clean_typed(self) -> str:
        typed: str = self.cleaned_data["typed"]
        if typed != self.workspace.name:
            raise ValidationError("This is not the workspace's name. Nothing was deleted.")
        return typed

    def _perform(self, wanted: dict[str, Any]) -> None:  # noqa: ARG002 - the name is checked by then
        workspace_delete(self.workspace)

    def next_href(self) -> str:
        return f"{reverse('dashboard:workspaces')}?done={self.done}#main"


FORMS: dict[str, type[WorkspaceForm]] = {
    "restore": RestoreForm,
    "fork": ForkForm,
    "disk": DiskForm,
    "delete": DeleteForm,
}
