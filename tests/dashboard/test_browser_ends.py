"""The head of a job's page for every way that a job can end: what happened, and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import User
from dashboard.presentation import REASON_LABELS, REASON_REMEDIES, REASON_SENTENCES
from jobs.models import Job
from jobs.states import JobStatus, Reason
from tests.accounts.factories import user
from tests.dashboard import axe
from tests.dashboard.live import WebServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

Open = Callable[..., Page]
SHOTS = os.environ.get("SHOTS_OF_ENDS", "")  # a directory, for who wants to look at each
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1440, "height": 900}
WAITS = {Reason.NO_HOST, Reason.NO_CAPACITY, Reason.SAVING, Reason.STARTING}
TIMES = {"queued": 3, "assigned": 2, "restored": 40, "started": 55}


def ended(owner: User, name: str, status: JobStatus, **fields: Any) -> Job:
    """A row as such an end leaves it."""
    now = timezone.now()
    return Job.objects.create(
        owner=owner, name=name, script="make all", status=status, attempt=fields.pop("attempt", 1),
        assigned_at=now - timedelta(seconds=4), started_at=now - timedelta(seconds=3), finished_at=now,
        **{"timings": TIMES, "script_duration_ms": 2800, **fields},
    )  # fmt: skip


def ends(owner: User) -> dict[Job, tuple[str, str]]:
    """One of each, with the word for it and its exit code; "" where there is none."""
    completed, error = JobStatus.COMPLETED, JobStatus.ERROR
    retried = ended(owner, "retried", completed, exit_code=0, attempt=3, retries=3)
    found = {
        ended(owner, "done", completed, exit_code=0): ("Completed", "0"),
        ended(owner, "failed", completed, exit_code=7): ("Exited", "7"),
        ended(owner, "stopped", completed, exit_code=143, reason=Reason.STOPPED): ("Stopped", "143"),
        retried: ("Completed", "0"),
    }
    for reason in Reason:
        if reason in WAITS | {Reason.STOPPED}:
            continue
        is_run = reason not in {Reason.START_FAILED, Reason.WORKSPACE_DAMAGED}
        own = {} if is_run else {"script_duration_ms": None, "timings": {"queued": 3}}
        found[ended(owner, reason.value, error, reason=reason, **own)] = (REASON_LABELS[reason], "")
    return found


def test_every_end_says_what_happened_and_what_to_do(open_page: Open, web: WebServer) -> None:
    owner = user()
    page = open_page(owner, "/jobs/")
    for job, (label, code) in ends(owner).items():
        page.goto(f"{web.url}/jobs/{job.pk}/")
        line = page.locator("#job-line")
        expect(line.locator(".status")).to_have_text(label)
        expect(line.locator(".exit")).to_have_text([code] if code else [])
        expect(line).to_contain_text(REASON_SENTENCES.get(job.reason, ""))
        expect(line).to_contain_text(REASON_REMEDIES.get(job.reason, ""))
        expect(page.locator("#job-stop button")).to_have_count(0)
        stages = len(job.timings) + (job.script_duration_ms is not None)
        expect(page.locator("#job-timings .timing-list li")).to_have_count(stages)
        # The bar's parts have got their widths.
        expect(page.locator("#job-timings [data-share]").first).to_have_css("flex-grow", "3")
        attempts = page.locator("#job-facts dd", has_text="3 (3 retries allowed)")
        expect(attempts).to_have_count(1 if job.retries else 0)
        for size in (PHONE, DESK):
            page.set_viewport_size(size)  # type: ignore[arg-type]
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], (job.name, size)
            if SHOTS:
                page.screenshot(path=Path(SHOTS) / f"{job.name}-{size['width']}.png")
    axe.check_both_themes(page)
