"""What a job's page says beside its output about its sandbox, and what it lets people do with it."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.urls import reverse

from accounts.models import User
from aliases.selectors import alias_list
from core.labels import label_url
from dashboard.exec_rows import SHOWN_LIMIT, exec_row
from dashboard.sandbox_cards import sandbox_card
from execs.selectors import exec_list
from jobs.models import Job
from jobs.standing import sandbox_serving, standing_job

ALIASES_SHOWN = 5


class Url(NamedTuple):
    address: str
    shown: str
    port: str


def sandbox_context(actor: User, job: Job) -> dict[str, Any]:
    standing = (standing_job(job.workspace_id) if job.is_persistent else None) or job
    href = f"/api/v1/mags-jobs/{job.pk}"
    reference = job.workspace_name or job.name or str(job.pk)
    execs = list(exec_list(actor, job)[: SHOWN_LIMIT + 1])
    return {
        "sandbox": sandbox_card(standing, sandbox_serving(job.workspace_id, job.in_sandbox_id)),
        "newer_href": reverse("dashboard:job", args=[str(standing.pk)]) if standing.pk != job.pk else "",
        "urls": _urls(actor, job),
        "url_port": job.url_port,
        "access_href": f"{href}/access",
        "ssh_key_href": f"{href}/ssh-key",
        "ssh_command": f"mags ssh {reference}",
        "commands": [exec_row(found) for found in execs[:SHOWN_LIMIT]],
        "has_more_commands": len(execs) > SHOWN_LIMIT,
        "execs_href": f"{href}/execs",
        "exec_command": f"mags exec {reference} 'uname -a'",
        "shell_path": f"/ws/jobs/{job.pk}/exec",
    }


def _urls(actor: User, job: Job) -> list[Url]:
    """Its own, then the names that its workspace has."""
    own = [_url(str(job.pk), str(job.url_port))] if job.url_port else []
    if not job.workspace_name:
        return own
    named = alias_list(actor).filter(workspace_name=job.workspace_name)[:ALIASES_SHOWN]
    return own + [_url(alias.name, str(alias.port or job.url_port or "its own")) for alias in named]


def _url(label: str, port: str) -> Url:
    address = label_url(label)
    return Url(address, address.partition("://")[2], port)
