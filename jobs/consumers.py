"""WebSockets: a job's output and state as they come, and the changes of all of one's jobs.

The protocol is in docs/reference/websocket.md. A connection listens first, then reads the database, then
waits: wake-ups carry no data and may be lost, so what is sent always comes from the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import msgspec
from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.utils import timezone

from accounts.models import ApiToken, User
from accounts.scopes import Scope
from core import credentials
from core.errors import MagsError
from core.live import Topic, live_group
from core.wakeup import Waiter, listening
from jobs import logs, selectors
from jobs.errors import JobNotFound
from jobs.models import Job
from jobs.socketauth import cookie_check, token_of
from jobs.states import JOB_FINAL
from jobs.wire import job_object

logger = logging.getLogger(__name__)

SIGN_IN_S = 5.0  # for the first message with the token
RECHECK_S = 4.0  # a revoked token or an ended session is noticed within 5 s
PACE_S = 0.02  # at most 50 batches a second
LIST_PACE_S = 0.1
BATCH_BYTES = 192 * 1024  # of JSON, about; escapes may make it more
WINDOW_BYTES = 1024 * 1024  # sent and not acknowledged
WINDOW_SILENT_BYTES = 16 * 1024 * 1024  # the same, for clients that acknowledge nothing
BATCH_ENTRIES = 5000
LIST_BATCH = 200
# A change is stamped before its transaction commits. Looked at again, so that it is not overlooked:
OVERLAP = timedelta(seconds=2)  # at every wake-up
OVERLAP_IDLE = timedelta(seconds=30)  # between wake-ups; longer than a transaction can wait for its lock

BAD_MESSAGE, BAD_AUTH, NOT_FOUND = 4400, 4401, 4404  # 44xx: do not come back
TOO_SLOW = 4008  # come back with the last `next_offset`
FAILED = 4011  # daphne sends no codes below 3000 but 1000: it would leave the connection open

Check = Callable[[], User | None]


class Closing(Exception):
    """Ends the conversation with a close code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


class SignedInConsumer(AsyncWebsocketConsumer):
    """A connection of a user, proven by session cookie (from our own pages) or by token."""

    # Wake-ups come through core.wakeup, which does without Redis when it must; the channel layer
    # would refuse connections then.
    channel_layer_alias = ""
    takes_tokens = True
    needs = Scope.READ  # of a token

    # What it was opened with; none for a session.
    token: ApiToken | None = None

    async def connect(self) -> None:
        self._told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._checked_at = 0.0
        await self.accept()  # type: ignore[no-untyped-call]
        self._task = asyncio.create_task(self._run())

    async def disconnect(self, code: int) -> None:  # noqa: ARG002
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:  # noqa: ARG002
        try:
            message = msgspec.json.decode(text_data or "")
        except msgspec.DecodeError:
            message = None
        if not isinstance(message, dict):
            self._task.cancel()
            await self.close(BAD_MESSAGE)  # type: ignore[no-untyped-call]
            return
        token = message.get("token")
        if message.get("type") == "auth" and isinstance(token, str) and not self._told.done():
            self._told.set_result(token)
        self.on_message(message)

    def on_message(self, message: dict[str, Any]) -> None:
        """A message other than `auth`; what is not understood is ignored."""

    async def follow(self, actor: User) -> None:
        """Talk until the end."""
        raise NotImplementedError

    async def tell(self, kind: str, **fields: Any) -> None:
        text = msgspec.json.encode({"type": kind, **fields}).decode()
        await self.send(text)  # type: ignore[no-untyped-call]

    async def recheck(self) -> None:
        """Leave if the session has ended. Whether a token still counts is asked for all of a process."""
        if time.monotonic() - self._checked_at < RECHECK_S:
            return
        if self._check is not None and await sync_to_async(self._check)() is None:
            raise Closing(BAD_AUTH)
        self._checked_at = time.monotonic()

    async def pause(self, waiter: Waiter, pace_s: float) -> bool:
        """Until there is something to look at (True) or to check, but not for less than the pace."""
        began = time.monotonic()
        is_woken = await waiter.wait(max(self._checked_at + RECHECK_S - began, pace_s))
        await asyncio.sleep(max(0.0, began + pace_s - time.monotonic()))
        return is_woken

    async def _run(self) -> None:
        try:
            await self._talk()
            code = 1000
        except Closing as closing:
            code = closing.code
        except JobNotFound:
            code = NOT_FOUND
        except Exception:
            logger.exception("a websocket failed")
            code = FAILED
        await self.close(code)  # type: ignore[no-untyped-call]

    async def _talk(self) -> None:
        """For as long as the token counts."""
        actor = await self._sign_in()
        try:
            async with credentials.held(self.token) as hold:
                await self.follow(actor)
        except TimeoutError:
            if hold.error is None:
                raise
            await self.tell_error(hold.error)
            raise Closing(close_code(hold.error)) from None

    async def _sign_in(self) -> User:
        self._check: Check | None = cookie_check(self.scope)
        self._checked_at = time.monotonic()
        if self._check is not None and (actor := await sync_to_async(self._check)()):
            return actor
        self._check = None
        if not self.takes_tokens:
            raise Closing(BAD_AUTH)
        try:
            text = await asyncio.wait_for(self._told, SIGN_IN_S)
            self.token = await sync_to_async(token_of)(text, self.needs, self.scope)
        except TimeoutError:
            raise Closing(BAD_AUTH) from None
        except MagsError as error:
            await self.tell_error(error)
            raise Closing(close_code(error)) from None
        return self.token.owner

    async def tell_error(self, error: MagsError) -> None:
        await self.tell("error", error=error.message, code=error.code, remediation=error.remediation)


def close_code(error: MagsError) -> int:
    """44xx as HTTP has 4xx."""
    return 4000 + error.status


class JobLogsConsumer(SignedInConsumer):
    """/ws/jobs/{job}/logs?offset=: the output from an offset, each change of the job, and its end."""

    async def follow(self, actor: User) -> None:
        self._offset = _offset(self.scope)
        self._acknowledged: int | None = None
        job = await sync_to_async(selectors.job_get)(actor, self.scope["url_route"]["kwargs"]["job"])
        begin = self._offset
        revision = -1
        async with listening(f"job.{job.pk}") as waiter:
            self._waiter: Waiter = waiter
            while True:
                await self.recheck()
                room = self._room(begin)
                job, page = await sync_to_async(_read)(actor, job, self._offset, room)
                if job.revision != revision:
                    revision = job.revision
                    await self.tell("status", job=job_object(job))
                self._offset = page.next_offset  # before it is sent: the answer may be quick
                if page.entries:
                    await self.tell("logs", entries=page.entries, next_offset=page.next_offset)
                if self._offset < job.log_bytes and room:
                    await asyncio.sleep(PACE_S)
                elif self._offset >= job.log_bytes and job.status in JOB_FINAL:
                    await self.tell("end", job=job_object(job))
                    return
                else:
                    await self.pause(waiter, PACE_S)

    def on_message(self, message: dict[str, Any]) -> None:
        offset = message.get("offset")
        if message.get("type") != "ack" or type(offset) is not int or not hasattr(self, "_waiter"):
            return
        if (self._acknowledged or 0) <= offset <= self._offset:
            self._acknowledged = offset
            self._waiter.notify()

    def _room(self, begin: int) -> int:
        """How many bytes may be sent now."""
        if self._acknowledged is not None:
            return max(WINDOW_BYTES - (self._offset - self._acknowledged), 0)
        if self._offset - begin > WINDOW_SILENT_BYTES:
            raise Closing(TOO_SLOW)
        return WINDOW_SILENT_BYTES


class JobsConsumer(SignedInConsumer):
    """/ws/jobs: each job of the user when it changes."""

    async def follow(self, actor: User) -> None:
        async with listening(live_group(actor.pk, Topic.JOBS)) as waiter:
            changes = _Changes(actor, timezone.now() - OVERLAP_IDLE)
            await sync_to_async(changes.skip)()
            await self.tell("ready")
            overlap = OVERLAP
            while True:
                await self.recheck()
                for job in await sync_to_async(changes.read)(overlap):
                    await self.tell("job", job=job_object(job))
                is_woken = changes.has_more or await self.pause(waiter, LIST_PACE_S)
                overlap = OVERLAP if is_woken else OVERLAP_IDLE


class _Changes:
    """Which jobs of a user changed since they were last looked at."""

    def __init__(self, actor: User, since: datetime) -> None:
        self._actor = actor
        self._since = since
        self._revisions: dict[str, int] = {}
        self.has_more = False

    def skip(self) -> None:
        """What changed before the connection is not told."""
        self.read(OVERLAP_IDLE)
        while self.has_more:
            self.read(OVERLAP_IDLE)

    def read(self, overlap: timedelta) -> list[Job]:
        since = self._since if self.has_more else self._since - overlap
        jobs = list(selectors.jobs_changed(self._actor, since)[:LIST_BATCH])
        self.has_more = len(jobs) == LIST_BATCH
        fresh = [job for job in jobs if self._revisions.get(str(job.pk)) != job.revision]
        if not self.has_more and overlap == OVERLAP_IDLE:
            self._revisions.clear()  # what the longest look back does not show is not seen again
        self._revisions |= {str(job.pk): job.revision for job in jobs}
        self._since = max([self._since, *(job.changed_at for job in jobs)])
        return fresh


def _read(actor: User, job: Job, offset: int, room: int) -> tuple[Job, logs.LogPage]:
    fresh = selectors.job_get(actor, str(job.pk))  # first: what is stored by its end is all there is
    if not room:
        return fresh, logs.LogPage([], offset)
    limit_bytes = min(room, BATCH_BYTES)
    return fresh, logs.page(fresh, offset, limit=BATCH_ENTRIES, limit_bytes=limit_bytes)


def _offset(scope: dict[str, Any]) -> int:
    text = parse_qs(scope["query_string"].decode("latin-1")).get("offset", ["0"])[0]
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise Closing(BAD_MESSAGE)
    return int(text)
