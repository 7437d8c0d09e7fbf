"""The words and numbers of the pages."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dashboard import presentation
from jobs.models import Job
from jobs.states import JobStatus, Reason

NOW = datetime(2026, 11, 23, tzinfo=UTC)
DURATIONS = json.loads((Path(__file__).parent / "durations.json").read_text())


@pytest.mark.parametrize(("ms", "text"), DURATIONS)
def test_durations_read_as_the_pages_scripts_write_them(ms: int, text: str) -> None:
    assert presentation.duration_text(ms) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KB"),
        (10 * 1024, "10 KB"),
        (3 << 30, "3.0 GB"),
        (5 << 40, "5120 GB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert presentation.size_text(size) == text


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"status": JobStatus.ACCEPTED}, ("Waiting", "waiting")),
        ({"status": JobStatus.ACCEPTED, "assigned_at": NOW}, ("Starting", "waiting")),
        ({"status": JobStatus.RUNNING}, ("Running", "running")),
        ({"status": JobStatus.RUNNING, "stop_requested_at": NOW}, ("Stopping", "running")),
        ({"status": JobStatus.SLEEPING}, ("Sleeping", "quiet")),
        ({"status": JobStatus.COMPLETED, "exit_code": 0}, ("Completed", "ok")),
        ({"status": JobStatus.COMPLETED, "exit_code": 3}, ("Exited", "bad")),
        ({"status": JobStatus.COMPLETED, "exit_code": 143, "reason": Reason.STOPPED}, ("Stopped", "quiet")),
        ({"status": JobStatus.ERROR, "reason": Reason.OOM}, ("Out of memory", "bad")),
        ({"status": JobStatus.ERROR, "reason": Reason.HOST_LOST}, ("Host lost", "bad")),
    ],
)
def test_labels(fields: dict[str, object], label: tuple[str, str]) -> None:
    assert presentation.job_label(Job(**fields)) == label


def test_every_reason_has_a_sentence() -> None:
    assert set(presentation.REASON_SENTENCES) == set(Reason)


@pytest.mark.parametrize(
    ("script", "preview"),
    [
        ("echo hi\n", "echo hi"),
        ("#!/bin/sh\n\n# notes\nset -eu\n  make all\n", "make all"),
        ("# only a comment", "# only a comment"),
        ("\n \n", "(empty script)"),
        ("x" * 500, "x" * 200),
    ],
)
def test_preview_is_the_first_telling_line(script: str, preview: str) -> None:
    assert presentation.script_preview(script) == preview


def test_the_url_of_a_job_leads_to_it_and_no_job_has_one_unasked() -> None:
    job = Job(url_port=8000)
    [fact] = [fact for fact in presentation.facts(job, "", "") if fact.label == "URL"]
    assert fact.address == f"http://{job.pk}.apps.localhost:8081"
    assert fact.text == f"{fact.address} (port 8000)"
    assert "URL" not in [fact.label for fact in presentation.facts(Job(), "", "")]


def test_the_workspace_of_a_job_is_led_to_while_it_is_there() -> None:
    gone = Job(workspace_name="shop")
    here = Job(workspace_name="shop", workspace_id=uuid.uuid4())
    addresses = {
        fact.address
        for job in (gone, here)
        for fact in presentation.facts(job, "", "")
        if fact.label == "Workspace"
    }
    assert addresses == {"", "/workspaces/shop/"}
    assert "Workspace" not in [fact.label for fact in presentation.facts(Job(), "", "")]


def test_stages_skip_what_is_unknown_or_nonsense() -> None:
    job = Job(timings={"queued": 3, "restored": "soon", "started": 8}, script_duration_ms=1240)
    assert [(s.name, s.text) for s in presentation.stages(job)] == [
        ("queued", "3 ms"), ("started", "8 ms"), ("script", "1.2 s"),
    ]  # fmt: skip
