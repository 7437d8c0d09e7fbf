"""No page reads the database once for each thing that it lists."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from accounts.services import token_create
from files.models import Upload
from tests.accounts.factories import user
from tests.jobs import factories, held
from tests.jobs.factories import Agent
from usage.models import DailyUsage, Progress
from workspaces.models import Version, Workspace

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]
PAGES = (
    "/", "/jobs/", "/jobs/?q=job", "/sandboxes/", "/workspaces/", "/workspaces/w0/", "/aliases/", "/cron/",
    "/files/", "/usage/?days=7", "/tokens/", "/settings/", "/hosts/",
)  # fmt: skip


def more(owner: User, agent: Agent, first: int, count: int) -> None:
    """Some of everything: waiting jobs, kept sandboxes, saved workspaces, uploads, tokens, used days."""
    now = timezone.now()
    for number in range(first, first + count):
        token, _ = token_create(owner, f"token{number}")
        factories.job(owner, name=f"job{number}")
        held.idle(agent, owner, f"kept{number}")
        versions(owner, f"w{number}")
        Upload.objects.create(
            owner=owner,
            name=f"file{number}",
            size_bytes=1,
            sha256="0" * 64,
            expires_at=now + timedelta(days=1),
        )
        DailyUsage.objects.create(
            owner=owner, day=now - timedelta(days=1), workspace=f"w{number}", token_number=token.pk, jobs=1
        )


def versions(owner: User, name: str) -> None:
    """A saved workspace, as far as pages look at one."""
    workspace = Workspace.objects.create(owner=owner, name=name, disk_gb=2, is_saved=True)
    now = timezone.now()
    for number in (1, 2):
        workspace.head = Version.objects.create(
            workspace=workspace, number=number, manifest=f"{number:064d}", reason="sync", raw_bytes=1,
            stored_bytes=1, tree_bytes=1, made_at=now, durable_at=now,
        )  # fmt: skip
    workspace.save()


def test_as_many_queries_for_six_as_for_two() -> None:
    owner = user(is_staff=True)
    client = Client()
    client.force_login(owner)
    agent = Agent(sandboxes=100, memory_mb=10**6, vcpus=100)
    Progress.objects.create(written_before=timezone.now().date())
    more(owner, agent, 0, 2)
    few = {path: queries(client, path) for path in PAGES}
    more(owner, agent, 2, 4)
    assert {path: queries(client, path) for path in PAGES} == few


def queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as found:
        response: Any = client.get(path)
    assert response.status_code == 200, path
    return len(found)
