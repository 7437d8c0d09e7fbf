"""Calls about jobs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, cast

import anyio

from mags import lifecycle, wire
from mags._async.connection import AsyncConnection
from mags.errors import MagsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from mags.types import Job, JobList, LogEntry, LogPage, RunResult, Submitted

LONG_POLL_S = 30.0
# Between two looks at a job that has not changed: a server that does not hold the request is not flooded.
LOOK_AGAIN_S = 0.2


class Jobs(AsyncConnection):
    """Submit, watch, list, change and stop jobs."""

    async def run(
        self,
        script: str,
        *,
        name: str | None = None,
        workspace_id: str | None = None,
        base_workspace_id: str | None = None,
        persistent: bool = False,
        no_sleep: bool = False,
        ephemeral: bool = False,
        startup_command: str | None = None,
        environment: Mapping[str, str] | None = None,
        file_ids: Sequence[str] | None = None,
        disk_gb: int | None = None,
        no_sync: bool = False,
        rootfs_type: str | None = None,
        memory_mb: int | None = None,
        vcpus: int | None = None,
        timeout_s: int | None = None,
        retries: int | None = None,
        url: bool = False,
        port: int | None = None,
    ) -> Submitted:
        """Submit a script and return at once, with its `request_id`.

        `workspace_id` names the workspace whose files the script sees and changes: kept on the host
        for a while, or for good with `persistent` or once it was saved (unless `no_sync`).
        `base_workspace_id` lies underneath, unchanged. `ephemeral` keeps nothing. `file_ids` are
        uploads, which the script finds in /uploads. `rootfs_type` is the image.

        A sandbox that is `persistent` sleeps while nobody needs it, unless it has `no_sleep`.
        `startup_command` is run in it each time that it has to be made anew.

        `timeout_s` ends the script; `retries` starts it anew when it could not come to its end.
        `url` gives the sandbox a public URL, which leads to `port` (8080). What the server cannot do,
        it refuses.
        """
        if ephemeral and (workspace_id or persistent):
            raise MagsError(
                "ephemeral keeps nothing: leave out workspace_id and persistent.", code="bad_argument"
            )
        if no_sleep and not persistent:
            raise MagsError("no_sleep needs persistent.", code="bad_argument")
        if url and not persistent:
            raise MagsError("url needs persistent.", code="bad_argument")
        if port is not None and not url:
            raise MagsError("port is where the URL leads: it needs url.", code="bad_argument")
        options = {
            "name": name,
            "workspace_id": workspace_id,
            "base_workspace_id": base_workspace_id,
            "persistent": persistent or None,
            "no_sleep": no_sleep or None,
            "startup_command": startup_command,
            "environment": None if environment is None else dict(environment),
            "file_ids": None if file_ids is None else list(file_ids),
            "disk_gb": disk_gb,
            "no_sync": no_sync or None,
            "rootfs_type": rootfs_type,
            "memory_mb": memory_mb,
            "vcpus": vcpus,
            "timeout": timeout_s,
            "retries": retries,
            "url": url or None,
            "port": port,
        }
        return cast("Submitted", await self._call(wire.submit_request(script, options)))

    async def run_and_wait(
        self, script: str, *, timeout: float = 60.0, poll_interval: float = LONG_POLL_S, **run_options: Any
    ) -> RunResult:
        """Submit a script and return when it has ended, with its output and exit code.

        `timeout` ends the waiting, not the job. `poll_interval` is the longest that one request
        waits; the end is seen at once whatever it is. `run_options` are those of `run`.
        """
        deadline = time.monotonic() + timeout
        request_id = (await self.run(script, **run_options))["request_id"]
        logs: list[LogEntry] = []
        offset = 0
        while True:
            wait_s = min(deadline - time.monotonic(), max(poll_interval, 0.1))
            if wait_s <= 0:
                raise MagsError(
                    f"Job {request_id} has not ended after {timeout:g} s.",
                    code="wait_timed_out",
                    remediation="It goes on: follow it with logs(), or end it with stop().",
                )
            page = await self.logs(request_id, offset=offset, limit=wire.PAGE_ENTRIES, wait=wait_s)
            logs += page["logs"]
            offset = page["next_offset"]
            if page["end"]:
                job = await self.status(request_id)
                return cast("RunResult", wire.run_result(request_id, job, logs))

    async def status(self, request_id: str, *, wait: float | None = None, revision: int | None = None) -> Job:
        """The job; with `wait`, when its status has changed or after that many seconds (60 at most).

        With the `revision` that you know, when anything of it is another than there, also of its sandbox.
        """
        seconds = None if wait is None else round(wait, 3)
        query = {"wait": seconds, "revision": revision}
        request = wire.Request("GET", wire.job_path(request_id, "status"), query=query, wait_s=wait or 0.0)
        return cast("Job", await self._call(request, is_following=wait is not None))

    async def logs(
        self,
        request_id: str,
        *,
        offset: int | None = None,
        limit: int | None = None,
        wait: float | None = None,
        unit: Literal["line", "record"] | None = None,
    ) -> LogPage:
        """The output from `offset` on.

        With `wait`, as soon as there is some or the job has ended, or after that many seconds. The
        page that completes the output has `end`; ask for the next from `next_offset`. With
        `unit="record"` an entry holds many lines: the same bytes in far fewer entries.
        """
        seconds = None if wait is None else round(wait, 3)
        query = {"offset": offset, "limit": limit, "wait": seconds, "unit": unit}
        request = wire.Request("GET", wire.job_path(request_id, "logs"), query=query, wait_s=wait or 0.0)
        return cast("LogPage", await self._call(request, is_following=wait is not None))

    async def follow(self, request_id: str, *, offset: int = 0) -> AsyncIterator[LogEntry]:
        """Each entry of the output, live, until the job has ended.

        Lost connections are made again and the output goes on where it was: nothing is lost and
        nothing comes twice.
        """
        end = None
        while end is None:
            page = await self.logs(request_id, offset=offset, limit=wire.PAGE_ENTRIES, wait=LONG_POLL_S)
            for entry in page["logs"]:
                yield entry
            offset, end = page["next_offset"], page["end"]

    async def list_jobs(
        self, *, page: int = 1, page_size: int = 20, status: str | None = None, q: str | None = None
    ) -> JobList:
        """Your jobs, newest first; `q` searches in names."""
        query = {"page": page, "page_size": page_size, "status": status, "q": q}
        return cast("JobList", await self._call(wire.Request("GET", "/mags-jobs", query=query)))

    async def find_job(self, name_or_id: str) -> Job | None:
        """The job of that name or id (a running one before an ended one), None when there is none."""
        try:
            return cast("Job", await self._call(wire.Request("GET", wire.job_path(name_or_id))))
        except MagsError as error:
            if error.status == 404:
                return None
            raise

    async def stop(self, name_or_id: str, *, wait: float = 0.0) -> dict[str, Any]:
        """Stop a job, and the sandbox that it left. What has ended already stays as it is.

        With `wait`, the answer comes when both are over and the files are saved, or after that many seconds.
        """
        answer = await self._call(wire.Request("POST", wire.job_path(name_or_id, "stop")))
        deadline = time.monotonic() + wait
        known: int | None = None
        while (left_s := deadline - time.monotonic()) > 0:
            job = await self.status(
                answer["request_id"], wait=min(left_s, LONG_POLL_S) if known else None, revision=known
            )
            if lifecycle.is_over(job):
                break
            if job["revision"] == known:
                await anyio.sleep(LOOK_AGAIN_S)
            known = job["revision"]
        return answer

    async def update_job(
        self,
        request_id: str,
        *,
        startup_command: str | None = None,
        no_sleep: bool | None = None,
        name: str | None = None,
    ) -> Job:
        """Change what is given: another name, or how a persistent job sleeps and wakes.

            mags.update_job("web", no_sleep=True, startup_command="/root/serve.sh")

        An empty `startup_command` takes it away.
        """
        given = {"startup_command": startup_command, "no_sleep": no_sleep, "name": name}
        body = {key: value for key, value in given.items() if value is not None}
        request = wire.Request("PATCH", wire.job_path(request_id), body=body)
        return cast("Job", await self._call(request))
