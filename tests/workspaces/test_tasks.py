"""What beat starts exists, and runs."""

from __future__ import annotations

import pytest
from celery import current_app
from django.conf import settings

from files import tasks as file_tasks
from tests.workspaces.factories import saved, user
from workspaces import tasks
from workspaces.selectors import workspace_get
from workspaces.services import workspace_delete


def test_every_task_of_the_schedule_is_known() -> None:
    current_app.autodiscover_tasks(force=True)
    names = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert {"workspaces.collect", "files.expire"} <= names
    assert names <= set(current_app.tasks)


@pytest.mark.django_db(transaction=True)
def test_the_tasks_run(bucket: str) -> None:
    owner = user()
    saved(owner, versions=2)
    workspace_delete(workspace_get(owner, "w"))
    assert tasks.expire_versions() == 2
    assert (tasks.complete_records(), tasks.expire_local(), tasks.collect(), file_tasks.expire()) == (
        0,
        0,
        0,
        0,
    )
