"""Usage in the administration: to look at."""

from __future__ import annotations

from datetime import date

import pytest
from django.test import Client

from tests.accounts.factories import user
from tests.usage.factories import Load, at
from usage.models import DailyUsage, Progress, SleepSpan, StorageSpan

pytestmark = pytest.mark.django_db


def test_everything_is_shown_and_nothing_can_be_changed(load: Load) -> None:
    row = DailyUsage.objects.create(owner=load.owner, day=date(2026, 11, 22), workspace="web", jobs=3)
    box = load.sandbox(None, "22 10:00:00", None)
    SleepSpan.objects.create(sandbox=box, began_at=at("22 11:00:00"))
    StorageSpan.objects.create(owner=load.owner, size_bytes=5, began_at=at("22 11:00:00"))
    Progress.objects.create()
    client = Client()
    client.force_login(user(is_staff=True, is_superuser=True))
    for name in ("dailyusage", "sleepspan", "storagespan", "progress"):
        page = client.get(f"/admin/usage/{name}/")
        assert page.status_code == 200, name
        assert client.get(f"/admin/usage/{name}/add/").status_code == 403, name
    shown = client.get(f"/admin/usage/dailyusage/?q={load.owner.email}").content.decode()
    assert "web" in shown
    path = f"/admin/usage/dailyusage/{row.pk}/"
    assert client.post(f"{path}change/", {"jobs": 9}).status_code == 403
    assert client.post(f"{path}delete/", {"post": "yes"}).status_code == 403
    row.refresh_from_db()
    assert row.jobs == 3
