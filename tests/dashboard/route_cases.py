"""For each route with a parameter: an object of an owner that it leads to, and what to send.

A new route with a parameter needs a line in CASES (WebSockets: SOCKETS). `make` is given an account, makes
the object for it, and returns the parameters that lead to it. `bodies` are what each method needs to succeed.
Where the owner of an object without a host or an object store cannot succeed, `answers` says what they
get instead of a status below 400: never a 404, so that it shows that they were let in.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import User
from accounts.services import token_create
from aliases.services import alias_create
from execs.models import Exec
from execs.states import Origin
from files.models import Upload
from jobs.models import Job
from jobs.services import job_open_ssh
from tests.jobs import factories, held
from tests.jobs.factories import Agent
from workspaces.models import Version, Workspace
from workspaces.services import workspace_create
from workspaces.states import VersionReason

Make = Callable[[User], dict[str, str]]
Bodies = Mapping[str, Mapping[str, Any]]
NO_PORT = 9  # of a host that nobody listens on


@dataclass(frozen=True)
class Case:
    make: Make
    bodies: Bodies = field(default_factory=dict)
    answers: Mapping[str, int] = field(default_factory=dict)
    is_for_staff: bool = False  # everybody else is the stranger


@dataclass(frozen=True)
class SocketCase:
    """`say` is sent once signed in; the server must answer to it, or by itself."""

    make: Make
    say: tuple[dict[str, Any], ...] = ()


def name_of(owner: User, kind: str) -> str:
    return f"{kind}-of-{owner.pk}"


def nothing(owner: User) -> dict[str, str]:
    """Of a route without a parameter."""
    return {}


def job(owner: User) -> dict[str, str]:
    return {"job": str(factories.job(owner).pk)}


def page_of_job(owner: User) -> dict[str, str]:
    return {"reference": job(owner)["job"]}


def job_with_sandbox(owner: User) -> dict[str, str]:
    return {"job": str(_idle(owner).pk)}


def job_with_ssh(owner: User) -> dict[str, str]:
    idle = _idle(owner)
    job_open_ssh(idle, owner)
    return {"job": str(idle.pk)}


def exec_(owner: User) -> dict[str, str]:
    idle = _idle(owner)
    row = Exec.objects.create(
        owner=owner, job=idle, sandbox=held.box(idle), origin=Origin.API, command="true"
    )
    return {"job": str(idle.pk), "exec_id": row.pk.hex}


def token(owner: User) -> dict[str, str]:
    return {"token_id": str(token_create(owner, "test")[0].pk)}


def alias(owner: User) -> dict[str, str]:
    workspace_create(owner, name_of(owner, "space"), disk_gb=2)
    return {"subdomain": alias_create(owner, name_of(owner, "alias"), name_of(owner, "space"), None).name}


def host(owner: User) -> dict[str, str]:  # of nobody: all who are staff see it
    return {"host_id": str(Agent().host.pk)}


def upload(owner: User) -> dict[str, str]:
    made = Upload.objects.create(
        owner=owner, name="a", size_bytes=1, sha256="0" * 64, expires_at=timezone.now() + timedelta(days=1)
    )
    return {"file_id": str(made.pk)}


def workspace(owner: User) -> dict[str, str]:
    """With two durable versions."""
    made = workspace_create(owner, name_of(owner, "workspace"), disk_gb=2)
    versions = [_version(made, number) for number in (1, 2)]
    Workspace.objects.filter(pk=made.pk).update(head=versions[-1], last_number=2, is_saved=True)
    return {"name": made.name}


def _idle(owner: User) -> Job:
    agent = Agent(data_port={"address": "127.0.0.1", "port": NO_PORT})
    return held.idle(agent, owner, name_of(owner, "space"))


def _version(workspace: Workspace, number: int) -> Version:
    now = timezone.now()
    return Version.objects.create(
        workspace=workspace, number=number, manifest=hashlib.sha256(uuid.uuid4().bytes).hexdigest(),
        reason=VersionReason.SYNC, raw_bytes=1, stored_bytes=1, tree_bytes=1, made_at=now, durable_at=now,
    )  # fmt: skip


_EXECS = "api/v1/mags-jobs/<str:job>/exec"
_JOB = "api/v1/mags-jobs/<str:job>"
_WORKSPACE = "api/v1/mags-workspaces/<str:name>"

CASES: dict[str, Case] = {
    # Pages
    "jobs/<str:reference>/": Case(page_of_job),
    "jobs/<str:reference>/script.txt": Case(page_of_job),
    "jobs/<str:reference>/output.txt": Case(page_of_job),
    "jobs/<str:reference>/again/": Case(page_of_job, {"POST": {"key": "k"}}),
    "workspaces/<str:name>/": Case(workspace, {"POST": {"action": "disk", "disk_gb": 5}}),
    "workspaces/<str:name>/diff/": Case(workspace),
    "hosts/<uuid:host_id>/": Case(host, {"POST": {"action": "drain"}}, is_for_staff=True),
    # The API
    "api/v1/auth/tokens/<int:token_id>": Case(token),
    "api/v1/mags-url-aliases/<str:subdomain>": Case(alias),
    "api/v1/mags-files/<str:file_id>": Case(upload, answers={"DELETE": 503}),
    "api/v1/mags-files/<str:file_id>/content": Case(upload, answers={"GET": 503}),
    _WORKSPACE: Case(workspace, {"PATCH": {"disk_gb": 5}}),
    f"{_WORKSPACE}/versions": Case(workspace),
    f"{_WORKSPACE}/diff": Case(workspace, answers={"GET": 503}),
    f"{_WORKSPACE}/restore": Case(workspace, {"POST": {"version": 1}}),
    f"{_WORKSPACE}/fork": Case(workspace, {"POST": {"name": "fork"}}),
    _JOB: Case(job, {"PATCH": {"name": "renamed"}}),
    f"{_JOB}/access": Case(job_with_sandbox, {"POST": {"port": 8080}}),
    f"{_JOB}/events": Case(job),
    f"{_JOB}/logs": Case(job),
    f"{_JOB}/ssh-key": Case(job_with_ssh),
    f"{_JOB}/status": Case(job),
    f"{_JOB}/stop": Case(job),
    f"{_JOB}/sync": Case(job_with_sandbox, answers={"POST": 503}),
    f"{_JOB}/wake": Case(job_with_sandbox),
    _EXECS: Case(job_with_sandbox, {"POST": {"command": "true"}}, {"POST": 504}),
    f"{_EXECS}s": Case(job_with_sandbox),
    f"{_EXECS}s/<str:exec_id>": Case(exec_),
    f"{_EXECS}s/<str:exec_id>/output": Case(exec_, answers={"GET": 504}),
    f"{_EXECS}s/<str:exec_id>/signal": Case(exec_, {"POST": {"signal": "TERM"}}, {"POST": 504}),
}

SOCKETS: dict[str, SocketCase] = {
    "ws/live": SocketCase(nothing),
    "ws/jobs": SocketCase(job),
    "ws/jobs/<str:job>/logs": SocketCase(job),
    "ws/jobs/<str:job>/exec": SocketCase(job_with_sandbox, ({"type": "open", "command": "true"},)),
}

# Pages that anybody may read, with why that is right. All others send strangers to sign in.
PUBLIC = {
    "healthz": "says only that the process answers",
    "readyz": "load balancers ask without an account",
    "metrics": "is for programs with a token, or on this machine; test_hosts.py looks at that",
    "api/schema/": "describes the API, not what is stored",
    "api/docs/": "describes the API, not what is stored",
    "login/": "is where people sign in",
    "cli/done/": "says only that one may go back to the terminal",
    "api/v1/auth/cli/device": "is for command lines that have no token yet",
    "api/v1/auth/cli/token": "is for command lines that have no token yet",
    "logout/": "ends one's own session and says nothing",
    "login/<slug:provider>/": "begins to sign somebody in",
    "login/<slug:provider>/callback/": "is where a provider sends them back to, with a state that it checks",
    "docs/": "is the documentation",
    "docs/search": "is the documentation",
    "docs/decisions/": "is the documentation",
    "docs/<path:slug>/": "is the documentation",
    "docs/<path:slug>.md": "is the documentation",
    "skill.md": "is the documentation",
    "llms.txt": "is the documentation",
    "llms-full.txt": "is the documentation",
}
# Pages without a parameter that only staff sees; for others there is nothing there.
STAFF = {"hosts/", "hosts/health/"}
# What takes unsafe methods without a CSRF token, with why that is right.
WITHOUT_CSRF = {
    f"api/{version}/auth/cli/{step}": "sees no session: it takes a secret that only the command line has"
    for version in ("v1", "v2")
    for step in ("device", "token")
}
