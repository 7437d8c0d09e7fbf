"""Follow a job to its end, and what Ctrl-C means meanwhile."""

from __future__ import annotations

import json
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mags import wire
from mags.cli import progress, terminal, uploads
from mags.cli.app import EXIT_FAILED, EXIT_INTERRUPTED
from mags.cli.output import Output, OutputClosed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType, TracebackType
    from typing import Literal

    from typing_extensions import Self

    from mags import Mags
    from mags.types import Job, LogEnd, LogEntry, LogPage, Submitted

FIRST_LOOK_S = 1.0  # no output after this long: see whether the job waits for a host, and say so
STOP_LIMIT_S = 10.0  # a stop takes 2 s; where the host is away, nobody waits for it longer than this
ACCEPTED_LOOK_S = 5.0  # how often to look again while it waits
LONG_POLL_S = 30.0
EXIT_OUTPUT_CLOSED = 141  # 128 + SIGPIPE, what a local command would have ended with

# Said where the server has no sentence of its own.
REASONS = {
    "no_host": "No host is online.",
    "no_capacity": "No host has room.",
    "oom": "The sandbox ran out of memory.",
    "timed_out": "The script did not end within its timeout.",
    "disk_full": "The sandbox's disk was full.",
    "start_failed": "The sandbox could not be started.",
    "host_lost": "The host that ran it was lost.",
}
REMEDIES = {
    "oom": " Give it more with --memory.",
    "timed_out": " Give it longer with --timeout.",
    "disk_full": " Give it more with --disk.",
    "host_lost": " Submit it again, or let --retries do so.",
}


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM came while we waited for the server."""


class Interrupts:
    """Ctrl-C and SIGTERM break in only while we wait for the server, so no output is cut or lost."""

    def __init__(self) -> None:
        self.signals: list[int] = []
        self._taken = 0
        self._is_waiting = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.signals.append(number)
        if self._is_waiting:
            self._take()

    def _take(self) -> None:
        self._taken = len(self.signals)
        self._is_waiting = False
        raise Interrupted

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around a request: raises Interrupted when a signal comes, or came since the last one."""
        self._is_waiting = True
        try:
            if len(self.signals) > self._taken:
                self._take()
            yield
        finally:
            self._is_waiting = False

    @property
    def exit_code(self) -> int:
        return 143 if self.signals[:1] == [signal.SIGTERM] else EXIT_INTERRUPTED


def send_files(client: Mags, interrupts: Interrupts, paths: Sequence[str]) -> list[str]:
    try:
        with interrupts.waiting():
            return uploads.send(client, paths)
    except Interrupted:
        terminal.note("interrupted while uploading: nothing was run")
        raise


def submit(client: Mags, interrupts: Interrupts, script: str, options: dict[str, Any]) -> Submitted:
    try:
        with interrupts.waiting():
            return client.run(script, **options)
    except Interrupted:
        terminal.note("interrupted while submitting: the job may have been started; `mags list` shows it")
        raise


class Watch:
    """One job, followed from a byte offset of its output."""

    def __init__(
        self,
        client: Mags,
        job: str,
        interrupts: Interrupts,
        *,
        output: Output | None = None,
        stops: bool = True,
    ) -> None:
        self._client = client
        self._job = job
        self._interrupts = interrupts
        self._output = output or Output()
        self._stops = stops  # whether Ctrl-C ends the job or only our watching
        self._offset = 0
        self._told = ""
        self._has_started = False
        self._spinner = progress.Spinner("waiting for a sandbox")
        self._leave_at: float | None = None  # set once the job was asked to stop

    def stream(self) -> int:
        """Write the output as it comes; the exit code for our process."""
        self._spinner.start()
        try:
            for page in self._pages(self._output.unit):
                self._output.write(page["logs"])
                end = page["end"]
                if end:
                    return self._exit_code(end)
        except OutputClosed:
            if self._stops:  # as a local command would die of SIGPIPE
                self._client.stop(self._job)
            return EXIT_OUTPUT_CLOSED
        except Interrupted:
            return self._interrupts.exit_code
        finally:
            self._spinner.stop()
        raise AssertionError("pages end with an end")

    def follow(self) -> int:
        """Like `stream`, but it is only our watching that succeeds or fails, not the script."""
        code = self.stream()
        return code if self._interrupts.signals or code == EXIT_OUTPUT_CLOSED else 0

    def collect(self) -> int:
        """Keep the output, and print it with the job's end as one JSON object."""
        logs: list[LogEntry] = []
        try:
            for page in self._pages("line"):
                logs += page["logs"]
                end = page["end"]
                if end:
                    job = self._client.status(self._job)
                    click.echo(json.dumps(wire.run_result(self._job, job, logs)))
                    return self._exit_code(end)
        except Interrupted:
            return self._interrupts.exit_code
        raise AssertionError("pages end with an end")

    def _pages(self, unit: Literal["line", "record"]) -> Iterator[LogPage]:
        wait_s = FIRST_LOOK_S
        while True:
            try:
                with self._interrupts.waiting():
                    page = self._client.logs(
                        self._job, offset=self._offset, limit=wire.PAGE_ENTRIES, wait=wait_s, unit=unit
                    )
                    if not (page["logs"] or page["end"] or self._has_started):
                        self._tell_why_it_waits(self._client.status(self._job))
            except Interrupted:
                self._stop_or_leave()
                wait_s = 1.0
                continue
            self._offset = page["next_offset"]
            self._has_started = self._has_started or bool(page["logs"])
            if self._has_started or page["end"]:
                self._spinner.stop()
            yield page
            if page["end"]:
                return
            wait_s = self._next_wait_s()

    def _next_wait_s(self) -> float:
        if self._leave_at is None:
            return LONG_POLL_S if self._has_started else ACCEPTED_LOOK_S
        if time.monotonic() >= self._leave_at:
            self._leave()
        return 1.0

    def _tell_why_it_waits(self, job: Job) -> None:
        if job["status"] != "accepted":
            self._has_started = True
            return
        reason = job.get("reason") or ""
        why = job.get("message") or REASONS.get(reason, reason)
        if why and why != self._told:
            self._told = why
            self._output.note(f"waiting: {why}")

    def _stop_or_leave(self) -> None:
        """What a signal means: the first stops the job, the next leaves it to itself."""
        if not self._stops:
            raise Interrupted
        if self._leave_at is None:
            self._leave_at = time.monotonic() + STOP_LIMIT_S
            self._output.note("stopping the job (Ctrl-C again: leave it and return)")
            try:
                with self._interrupts.waiting():
                    self._client.stop(self._job)
                return
            except Interrupted:
                pass
        self._leave()

    def _leave(self) -> NoReturn:
        self._output.note(
            f"left: the job may still run; see `mags logs -f {self._job}`, `mags stop {self._job}`"
        )
        raise Interrupted

    def _exit_code(self, end: LogEnd) -> int:
        reason = end["reason"] or ""
        code = end["exit_code"]
        if end["status"] == "completed" and code is not None:
            if reason == "stopped":
                self._output.note("stopped")
                return self._interrupts.exit_code if self._leave_at is not None else code
            return code
        message = self._client.status(self._job).get("message")
        sentence = message or REASONS.get(reason, f"The job failed: {reason or 'no reason is known'}.")
        self._output.note(sentence + REMEDIES.get(reason, ""))
        return EXIT_FAILED
