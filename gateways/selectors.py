"""Where a label leads now. Gateways ask for whoever visits: nothing here depends on who that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from aliases.selectors import alias_find
from core.labels import label_uuid
from gateways.errors import NoSuchLabel
from hosts.tickets import Target
from jobs.models import Job
from jobs.standing import Standing, groups_of, sandbox_serving, standing_job, standing_of
from sandboxes.models import Sandbox
from ssh.selectors import doors_open
from workspaces.selectors import workspace_find

Kind = Literal["http", "ssh"]
PORT_DEFAULT = 8080

NO_DATA_PORT = "The sandbox runs on a host that gateways cannot reach."


@dataclass(frozen=True, slots=True)
class Place:
    """`sandbox` has its host while `standing` is running. `why` is for visitors: so it cannot be reached."""

    standing: Standing
    sandbox: Sandbox | None
    target: Target
    why: str = ""

    @property
    def groups(self) -> tuple[str, ...]:
        return groups_of(self.sandbox)


def label_exists(label: str) -> bool:
    """Whether it leads somewhere, or did and may again."""
    try:
        place_find(label, "http")
    except NoSuchLabel:
        return False
    return True


def place_find(label: str, kind: Kind) -> Place:
    """Raises NoSuchLabel."""
    sandbox, target = _of_door(label) if kind == "ssh" else _of_url(label)
    standing = standing_of(sandbox)
    if standing is Standing.RUNNING and sandbox and sandbox.host and sandbox.host.data_port is None:
        return Place(Standing.STOPPED, sandbox, target, NO_DATA_PORT)
    return Place(standing, sandbox, target)


def job_behind(label: str, kind: Kind) -> Job | None:
    """Whose sandbox gets up for the visitors of a label that exists."""
    label_id = label_uuid(label)
    if kind == "ssh":
        door = doors_open().filter(pk=label_id).first() if label_id else None
        if door is None or door.workspace_id is None:
            return None  # without a workspace there is nothing that it could come back from
        return standing_job(door.workspace_id)
    if label_id is not None:
        return _published(label_id)
    alias = alias_find(label)
    workspace = workspace_find(alias.owner, alias.workspace_name) if alias else None
    return standing_job(workspace.pk) if workspace else None


def _of_door(label: str) -> tuple[Sandbox | None, Target]:
    door_id = label_uuid(label)
    door = doors_open().filter(pk=door_id).first() if door_id else None
    if door is None:
        raise NoSuchLabel
    return sandbox_serving(door.workspace_id, door.sandbox_id), "ssh"


def _of_url(label: str) -> tuple[Sandbox | None, int]:
    job_id = label_uuid(label)
    return _of_alias(label) if job_id is None else _of_job(_published(job_id))


def _published(job_id: UUID) -> Job | None:
    """Like doors and aliases, URLs lead nowhere once their owner may not sign in any more."""
    return Job.objects.filter(pk=job_id, owner__is_active=True).first()


def _of_job(job: Job | None) -> tuple[Sandbox | None, int]:
    """A job that nobody asked a URL for is not to be found."""
    if job is None or job.url_port is None:
        raise NoSuchLabel
    return sandbox_serving(job.workspace_id, job.in_sandbox_id), job.url_port


def _of_alias(label: str) -> tuple[Sandbox | None, int]:
    alias = alias_find(label)
    if alias is None:
        raise NoSuchLabel
    workspace = workspace_find(alias.owner, alias.workspace_name)
    if workspace is None:
        return None, alias.port or PORT_DEFAULT
    published = Job.objects.filter(workspace=workspace, url_port__isnull=False).order_by("-created_at")
    port = alias.port or published.values_list("url_port", flat=True).first() or PORT_DEFAULT
    return sandbox_serving(workspace.pk, None), port
