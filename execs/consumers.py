"""WebSocket: a command in a sandbox, live, with its input. The protocol is in docs/reference/websocket.md."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

from asgiref.sync import sync_to_async
from django.utils import timezone

from accounts.models import User
from accounts.scopes import Scope
from core.errors import MagsError
from core.wakeup import listening
from execs import refusals, selectors
from execs.bridge import Bridge
from execs.errors import BadMessage, ExecNotFound
from execs.flow import Input, OutputWindow, TooSlow
from execs.messages import (
    AckMessage,
    EofMessage,
    OpenMessage,
    ResizeMessage,
    SignalMessage,
    message_of,
)
from execs.models import Exec
from execs.openings import opening_of
from execs.places import place_of
from execs.services import (
    Command,
    exec_create,
    exec_ended,
    exec_forget,
    exec_not_started,
    exec_started,
    settle_gone,
)
from execs.standing import Readiness
from execs.states import ExecState
from execs.wire import end_object
from execwire.client import ExecCut, ExecRefused
from execwire.frames import Frame, Open, Opened, Resize, Signal, Size, Stream
from jobs.consumers import (
    BAD_MESSAGE,
    RECHECK_S,
    SIGN_IN_S,
    TOO_SLOW,
    Closing,
    SignedInConsumer,
    close_code,
)
from jobs.errors import SandboxStarting
from jobs.models import Job
from jobs.selectors import job_get
from sandboxes.models import Sandbox

START_S = 60.0  # for the sandbox to be up
LOOK_PACE_S = 0.05
COME_BACK = 4012  # with the same exec_id, and the offsets that were received


class ExecConsumer(SignedInConsumer):
    """/ws/jobs/{job}/exec"""

    needs = Scope.RUN

    async def connect(self) -> None:
        self._opening: asyncio.Future[OpenMessage] = asyncio.get_running_loop().create_future()
        self._input = Input()
        self._controls: asyncio.Queue[Frame] = asyncio.Queue(maxsize=1000)
        self._window: OutputWindow | None = None
        await super().connect()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            if bytes_data is None:
                await super().receive(text_data)
            else:
                self._input.put(bytes_data)
        except MagsError as error:
            self._task.cancel()
            await self.tell_error(error)
            await self.close(_close_code(error))  # type: ignore[no-untyped-call]

    def on_message(self, message: dict[str, Any]) -> None:
        match message_of(message):
            case OpenMessage() as opening:
                if self._opening.done():
                    raise BadMessage("This connection has its exec.")
                self._opening.set_result(opening)
            case EofMessage():
                self._input.put(None)
            case ResizeMessage(rows=rows, columns=columns):
                self._steer(Resize(Size(rows, columns)))
            case SignalMessage() as signal:
                self._steer(Signal(signal.name))
            case AckMessage(stdout_offset=stdout, stderr_offset=stderr):
                if self._window is not None:
                    self._window.acknowledge(stdout, stderr)

    def _steer(self, frame: Frame) -> None:
        if self._controls.full():
            raise BadMessage("More signals and sizes were sent than the host takes.")
        self._controls.put_nowait(frame)

    async def follow(self, actor: User) -> None:
        try:
            opening = await asyncio.wait_for(asyncio.shield(self._opening), SIGN_IN_S)
        except TimeoutError:
            raise Closing(BAD_MESSAGE) from None
        try:
            await self._until_refused(self._serve(actor, opening))
        except TooSlow:
            raise Closing(TOO_SLOW) from None
        except (ExecCut, OSError):  # with it whatever took too long
            raise Closing(COME_BACK) from None
        except MagsError as error:
            await self.tell_error(error)
            raise Closing(_close_code(error)) from None

    async def _until_refused(self, work: Any) -> None:
        """Do it for as long as the client is who it was."""
        working, checking = asyncio.create_task(work), asyncio.create_task(self._recheck_for_ever())
        try:
            done, _ = await asyncio.wait((working, checking), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task
        finally:
            for task in (working, checking):
                task.cancel()
            await asyncio.gather(working, checking, return_exceptions=True)

    async def _recheck_for_ever(self) -> None:
        while True:
            await asyncio.sleep(RECHECK_S / 4)
            await self.recheck()

    async def _serve(self, actor: User, opening: OpenMessage) -> None:
        job = await sync_to_async(job_get)(actor, self.scope["url_route"]["kwargs"]["job"])
        command = opening.call()
        known = opening.known or uuid.uuid4()
        row = await sync_to_async(selectors.exec_find)(actor, job, known)
        is_joined = row is not None
        if row is None:
            if command is None:
                raise ExecNotFound
            sandbox = await self._ready(actor, job)
            row = await sync_to_async(self._create)(actor, job, sandbox, command, known)
        self._window = OutputWindow(opening.stdout_offset, opening.stderr_offset)
        await self._tell_state("starting", row, is_joined=is_joined)
        if not selectors.is_reachable(row):
            await self._tell_gone(row)
        else:
            frame = opening_of(row, command, opening.stdout_offset, opening.stderr_offset)
            await self._join(row, frame, is_mine=not is_joined)
        await self._tell_end(row)

    async def _ready(self, actor: User, job: Job) -> Sandbox:
        """The job's sandbox, once it is up."""
        readiness = Readiness()
        deadline = time.monotonic() + START_S
        has_told = False
        async with listening(f"job.{job.pk}") as waiter:
            while (sandbox := await sync_to_async(_look)(actor, job, readiness)) is None:
                if time.monotonic() > deadline:
                    raise SandboxStarting
                if not has_told:
                    await self.tell("state", state="waking", exec_id=None, is_joined=False)
                    has_told = True
                await self.pause(waiter, LOOK_PACE_S)
        return sandbox

    def _create(self, actor: User, job: Job, sandbox: Sandbox, command: Command, known: uuid.UUID) -> Exec:
        place_of(sandbox)  # refuses before anything is written
        return exec_create(actor, self.token, job, sandbox, command, known)

    async def _join(self, row: Exec, frame: Open, *, is_mine: bool) -> None:
        async def opened(answer: Opened) -> None:
            await self._tell_state("running", row, is_joined=not answer.is_new)
            await sync_to_async(exec_started)(row.pk, timezone.now())

        if row.sandbox is not None and row.sandbox.asleep_since is not None:
            await self._tell_state("waking", row, is_joined=False)
        place = await sync_to_async(place_of)(row.sandbox)
        assert self._window is not None  # noqa: S101 - `_serve` has made it; for the type checker
        bridge = Bridge(self, self._window, self._input, self._controls)
        try:
            end = await bridge.run(place, frame, opened)
        except ExecRefused as error:
            if row.state == ExecState.ENDED and refusals.is_forgotten(error):
                await self._tell_gone(row)
                return
            await sync_to_async(_write_refusal)(row, error, is_mine=is_mine)
            raise refusals.as_error(error, may_run=not is_mine) from error
        await sync_to_async(exec_ended)(row.pk, end)

    async def _tell_gone(self, row: Exec) -> None:
        """All that is left of one whose sandbox has ended, or whose host has forgotten it."""
        await sync_to_async(settle_gone)(Exec.objects.filter(pk=row.pk))
        assert self._window is not None  # noqa: S101 - `_serve` has made it; for the type checker
        for stream, total in ((Stream.STDOUT, row.stdout_bytes), (Stream.STDERR, row.stderr_bytes)):
            offset = self._window.sent[stream]
            if total is not None and offset < total:
                await self.tell("gap", stream=int(stream), offset=offset, bytes=total - offset)

    async def _tell_end(self, row: Exec) -> None:
        await sync_to_async(row.refresh_from_db)()
        end = end_object(row)
        if end is None:  # its sandbox is ending, and has not said what became of it
            raise Closing(COME_BACK)
        await self.tell("end", exec_id=row.pk.hex, **end)

    async def _tell_state(self, state: str, row: Exec, *, is_joined: bool) -> None:
        await self.tell("state", state=state, exec_id=row.pk.hex, is_joined=is_joined)


def _look(actor: User, job: Job, readiness: Readiness) -> Sandbox | None:
    return readiness.look(job_get(actor, str(job.pk)))


def _write_refusal(row: Exec, error: ExecRefused, *, is_mine: bool) -> None:
    """Only where it is certain that nothing ran; else whoever looks later asks the host."""
    if error.code == "too_many_execs" or (error.code == "no_sandbox" and is_mine):
        exec_forget(row.pk)
    elif refusals.is_certainly_not_started(error):
        exec_not_started(row.pk, str(error))


def _close_code(error: MagsError) -> int:
    """44xx as HTTP has 4xx: do not come back. What passes: come back."""
    return COME_BACK if error.retryable else close_code(error)
