"""How uploads look to people. No queries here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from dashboard.presentation import size_text
from files.models import Upload
from jobs.models import Job

FILE_ID = "FILE_ID"  # stands for one in a command that is shown for all of them


@dataclass(frozen=True, slots=True)
class FileUse:
    """A job that was given the file."""

    name: str
    href: str


@dataclass(frozen=True, slots=True)
class FileCard:
    id: str
    name: str
    size: str
    sha256: str
    expires_at: datetime
    href: str
    content_href: str
    last_use: FileUse | None
    more_uses: int


def file_card(upload: Upload, jobs: list[Job], api_href: str) -> FileCard:
    """`jobs` are those that were given it, the newest first."""
    href = f"{api_href}/{upload.pk}"
    return FileCard(
        id=str(upload.pk),
        name=upload.name,
        size=size_text(upload.size_bytes),
        sha256=upload.sha256,
        expires_at=upload.expires_at,
        href=href,
        content_href=f"{href}/content",
        last_use=_use(jobs[0]) if jobs else None,
        more_uses=max(len(jobs) - 1, 0),
    )


def shell_command(jobs_href: str) -> str:
    """Gives a file to a job by its id. The file's name is not in it: it might say anything to a shell."""
    return (
        f"curl {jobs_href} \\\n"
        '  -H "Authorization: Bearer $MAGS_API_TOKEN" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        '  -d \'{"script": "ls -l /uploads",\n'
        f'       "file_ids": ["{FILE_ID}"]}}\''
    )


def _use(job: Job) -> FileUse:
    return FileUse(job.name or str(job.pk)[:8], reverse("dashboard:job", args=[str(job.pk)]))
