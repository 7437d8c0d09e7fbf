"""Views that wait for a job."""

from __future__ import annotations

from accounts.models import User
from core.api.views import WaitingView
from jobs import selectors
from jobs.models import Job


class JobWaitingView(WaitingView):
    """Waits for changes of one job."""

    def watch(self, actor: User, reference: str, wait_s: float) -> Job:
        """The job, read after its wake-ups are listened to, so that no change falls in between."""
        self._actor, self._job_id = actor, reference.lower()
        self.wait_for(wait_s, f"job.{self._job_id}")
        job = selectors.job_get(actor, reference)
        if str(job.pk) == self._job_id:
            return job
        self._job_id = str(job.pk)  # it was a name
        self.wait_for(wait_s, f"job.{self._job_id}")
        return self.read()

    def read(self) -> Job:
        return selectors.job_get(self._actor, self._job_id)
