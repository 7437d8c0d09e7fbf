"""Sandboxes that stay, of the fake server: how they are changed, woken and told of."""

from __future__ import annotations

import json
import time
from typing import Any

from fake_job import FakeJob


class StayingSandboxes:
    """What the server's handler does about them."""

    body: bytes
    query: dict[str, str]
    answer: Any
    fail: Any
    page_of: Any

    def job(self, job: FakeJob) -> None:
        known = int(self.query.get("revision", -1))
        with job.changed:
            deadline = time.monotonic() + float(self.query.get("wait", 0))
            while job.revision == known and job.changed.wait(max(deadline - time.monotonic(), 0)):
                pass
            self.answer(job.as_wire())

    def change(self, job: FakeJob) -> None:
        job.sent |= json.loads(self.body)
        self.answer(job.as_wire())

    def wake(self, job: FakeJob) -> None:
        if job.is_final and job.sandbox == "none":
            self.fail(409, "cannot_wake", "There is nothing to wake.", "Run a job with persistent.")
            return
        self.answer(job.as_wire(), 202)
        if job.sandbox == "sleeping":
            job.wake("wish")

    def events(self, job: FakeJob) -> None:
        self.page_of("events", job.events)
