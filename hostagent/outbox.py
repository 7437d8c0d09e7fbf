"""What one lease still has to tell the server, in its order: started, output, finished."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec
import structlog

from hostagent.logs.output import Batch, Output, Place
from hostagent.wire import Finished, Item, LeaseKey, Log, Result, Started

logger = structlog.get_logger(__name__)

ITEM_BYTES = 512 * 1024  # of output in one item; the API allows 1 MiB


@dataclass(frozen=True, slots=True)
class Sent:
    """An item under way, and where its output ends."""

    item: Item
    batch: Batch | None = None


class Box(Protocol):
    """Something that the reporter empties."""

    def collect(self) -> list[Sent]:
        """What is to be sent next. Nothing is taken out before it is acknowledged."""

    def take(self, sent: Sent, result: Result) -> bool:
        """Note what became of an item. False: what was sent after it in the same report does not count."""

    def give_up(self) -> None:
        """The server refuses a report in which nobody else said anything."""


class Outbox:
    """Filled by a runner, emptied by the reporter. `wake` tells the reporter that there is something."""

    def __init__(self, key: LeaseKey, wake: Callable[[Box], None]) -> None:
        self.key = key
        self.settled = asyncio.Event()  # the server has the end, or does not want it: kill and forget
        self.failed = asyncio.Event()  # the server refuses what we say: end the lease as lost
        self._wake = wake
        self._output: Output | None = None
        self._acked = Place()
        self._awaited = 0  # the server has this much already; derive up to it before sending more
        self._started: Started | None = None
        self._end: Finished | None = None

    def attach(self, output: Output) -> None:
        self._output = output

    def start(self, started: Started) -> None:
        self._started = started
        self._wake(self)

    def output_grew(self) -> None:
        self._wake(self)

    def finish(self, end: Finished) -> None:
        """The last word. With outcome `lost`, what the server has of the output is taken for all of it."""
        self._end = end
        self._awaited = 0
        if self.failed.is_set():
            self._lose(self.key.log_offset + self._acked.offset)
        self._wake(self)

    def collect(self) -> list[Sent]:
        """What is to be sent next. Nothing is taken out before it is acknowledged."""
        if self.settled.is_set() or (self.failed.is_set() and self._end is None):
            return []
        sent = [Sent(self._started)] if self._started is not None else []
        batch = self._next_batch()
        if batch is not None:
            offset = self.key.log_offset + batch.begin.offset
            sent.append(Sent(Log.of(self.key, offset, batch.records, batch.data), batch))
        end = batch.end if batch is not None else self._acked
        if self._end is not None and (self._output is None or end.offset >= self._output.stored):
            sent.append(Sent(self._end))
        return sent

    def _next_batch(self) -> Batch | None:
        if self._output is None or self._output.stored < self._awaited:
            return None
        if self._acked.offset < self._awaited:
            self._acked = self._output.seek(self._awaited)
        if self._acked.offset == self._output.stored:
            return None
        return self._output.batch(self._acked, ITEM_BYTES)

    def take(self, sent: Sent, result: Result) -> bool:
        """Note what became of an item. False: what was sent after it in the same report does not count."""
        if 200 <= result.status < 300:
            self._accept(sent)
            return True
        if result.status == 409 and result.code == "offset":
            self._move_to(result.expected)
        elif result.status == 409:
            logger.info("lease_stale", lease=self.key.lease_id)
            self.settled.set()
        else:
            self._refuse(result)
        return False

    def _accept(self, sent: Sent) -> None:
        if isinstance(sent.item, Started):
            self._started = None
        elif sent.batch is not None:
            self._acked = sent.batch.end
        else:
            self.settled.set()

    def _move_to(self, expected: int) -> None:
        """The server has `expected` bytes of the job: go on from there."""
        wanted = expected - self.key.log_offset
        stored = self._output.stored if self._output is not None else 0
        if self._output is not None and 0 <= wanted <= stored:
            self._acked = self._output.seek(wanted)
        elif wanted > stored and self._end is None:
            self._awaited = wanted  # a new agent that has not read as far as the old one had sent
        else:
            if self._end is None or self._end.outcome != "lost":
                logger.error("offset_impossible", lease=self.key.lease_id, expected=expected, stored=stored)
            self._fail(expected)

    def give_up(self) -> None:
        """The server refuses what this lease says: say that it is lost, and then nothing more."""
        if self._end is not None and self._end.outcome == "lost":
            self.settled.set()
        else:
            self._fail(self.key.log_offset + self._acked.offset)

    def _refuse(self, result: Result) -> None:
        logger.error("item_refused", lease=self.key.lease_id, status=result.status, error=result.error)
        self.give_up()

    def _fail(self, log_bytes: int) -> None:
        self._started = None
        self.failed.set()
        if self._end is not None:
            self._lose(log_bytes)

    def _lose(self, log_bytes: int) -> None:
        self._output = None
        if self._end is not None:
            self._end = msgspec.structs.replace(
                self._end, outcome="lost", exit_code=None, log_bytes=log_bytes
            )
