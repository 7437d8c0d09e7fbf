"""Who may log in to a job's sandbox by SSH. The port is the workspace's; the keys lie in the sandbox."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from accounts.models import User
from core.wakeup import wake, wake_on_commit
from jobs.errors import NoSshKey, NotPersistent
from jobs.models import Job
from jobs.standing import sandbox_serving
from sandboxes.models import Sandbox
from sandboxes.services import sandbox_change, sandbox_lock
from sandboxes.states import SandboxPhase
from ssh.models import Door, Grant
from ssh.selectors import door_find, is_answered, place_of
from ssh.services import LIST_GROUP, door_open, grant_give, grant_revoke

WITH_ITS_SCRIPT = "The sandbox of this job cannot be reached: it lives with its script only."


@dataclass(frozen=True, slots=True)
class Entrance:
    """A user's way in."""

    door: Door
    grant: Grant


def job_open_ssh(job: Job, user: User) -> Entrance:
    """A port and a key that lead to the job's sandbox, the same as before if there were. They are usable as
    soon as the sandbox's host and a gateway have answered. Raises NotPersistent, NoPortLeft, NoSshSecret."""
    if job.workspace_id is None and not (job.in_sandbox_id and job.is_persistent):
        raise NotPersistent(WITH_ITS_SCRIPT)
    with transaction.atomic():
        sandbox = _locked(job)
        door = door_open(job.owner, place_of(job.workspace_id, job.in_sandbox_id))
        grant = grant_give(door, user)
        if sandbox is not None and not is_answered(door, sandbox.pk):
            _tell(sandbox)
    return Entrance(door, grant)


def job_revoke_ssh(job: Job, user: User) -> Door:
    """The user's key opens nothing any more, and whoever is in by it is put out; as soon as the sandbox's
    host has answered. Raises NoSshKey where there is none."""
    with transaction.atomic():
        sandbox = _locked(job)
        door = door_find(place_of(job.workspace_id, job.in_sandbox_id))
        if door is None or not grant_revoke(door, user):
            raise NoSshKey
        if sandbox is not None:
            _tell(sandbox)
    return door


def user_changed(user: User) -> None:
    """Whoever may not sign in any more is put out of their sandboxes: gateways and hosts look again."""
    for sandbox in Sandbox.objects.filter(owner_id=user.pk).exclude(state=SandboxPhase.ENDED):
        with transaction.atomic():
            locked = sandbox_lock(sandbox.pk)
            if locked is not None:
                _tell(locked)
    wake(LIST_GROUP)


def _locked(job: Job) -> Sandbox | None:
    """First of all: its host's row comes before every other."""
    found = sandbox_serving(job.workspace_id, job.in_sandbox_id)
    return sandbox_lock(found.pk) if found else None


def _tell(sandbox: Sandbox) -> None:
    sandbox_change(sandbox)
    wake_on_commit(f"host.{sandbox.host_id}")
