"""Calls about sandboxes that stay."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import anyio

from mags import lifecycle, wire
from mags._async.jobs import LONG_POLL_S, LOOK_AGAIN_S, Jobs
from mags.errors import MagsError

if TYPE_CHECKING:
    from mags.types import EventList, Job, Ready


class Sandboxes(Jobs):
    """Make sandboxes that stay, wake them, and see what happened to them."""

    async def new(
        self,
        name: str,
        *,
        persistent: bool = False,
        startup_command: str | None = None,
        timeout: float = 30.0,
        poll_interval: float = LONG_POLL_S,
        **run_options: Any,
    ) -> Ready:
        """Make a sandbox with the workspace `name`, and return when commands can run in it.

            mags.new("web", persistent=True, url=True, port=8000,
                     startup_command="python3 -m http.server 8000")

        It stays when nothing runs in it, and sleeps while nobody needs it. Its files are on one host only,
        unless it is `persistent`: then they are saved for good. `startup_command` is run in it now, and
        again whenever it has to be made anew. `run_options` are those of `run`.

        `timeout` ends the waiting, not the sandbox; `poll_interval` is the longest that one request waits.
        """
        for option in ("no_sleep", "url"):
            if run_options.get(option) and not persistent:
                raise MagsError(f"{option} needs persistent.", code="bad_argument")
        options = {"name": name, "workspace_id": name, "no_sync": not persistent, **run_options}
        submitted = await self.run(
            lifecycle.first_script(startup_command),
            persistent=True,
            startup_command=startup_command,
            **options,
        )
        job = await self._until_up(submitted["request_id"], timeout, poll_interval, is_new=True)
        return {"request_id": job["request_id"], "status": "running"}

    async def wake(self, name_or_id: str, *, timeout: float = 60.0) -> Job:
        """Have a sandbox that sleeps, or was stopped, get up, and return its job when it is.

        With `timeout=0` it returns at once. One that is up stays so.
        """
        request = wire.Request("POST", wire.job_path(name_or_id, "wake"))
        job = cast("Job", await self._call(request))
        return await self._until_up(job["request_id"], timeout) if timeout else job

    async def events(self, name_or_id: str, *, page: int = 1, page_size: int = 20) -> EventList:
        """What happened to a job and its sandbox, in order."""
        query = {"page": page, "page_size": page_size}
        request = wire.Request("GET", wire.job_path(name_or_id, "events"), query=query)
        return cast("EventList", await self._call(request))

    async def newest_events(self, name_or_id: str, count: int = 20) -> EventList:
        """The last `count` events (200 at most), in order."""
        first = await self.events(name_or_id, page_size=count)
        last = -(-first["total"] // count)
        if last <= 1:
            return first
        before, newest = [
            await self.events(name_or_id, page=page, page_size=count) for page in (last - 1, last)
        ]
        return {**newest, "events": (before["events"] + newest["events"])[-count:]}

    async def _until_up(
        self, request_id: str, timeout_s: float, poll_interval_s: float = LONG_POLL_S, *, is_new: bool = False
    ) -> Job:
        """The job, once commands can run in its sandbox. One that is woken may have none until then."""
        deadline = time.monotonic() + timeout_s
        job = await self.status(request_id)
        while not lifecycle.is_up(job):
            if is_new:
                lifecycle.require_sandbox(job)
            wait_s = min(deadline - time.monotonic(), max(poll_interval_s, LOOK_AGAIN_S))
            if wait_s <= 0:
                raise lifecycle.not_up_in_time(job, timeout_s)
            known = job["revision"]
            job = await self.status(request_id, wait=wait_s, revision=known)
            if job["revision"] == known:
                await anyio.sleep(LOOK_AGAIN_S)
        return job
