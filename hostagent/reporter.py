"""Sends the outboxes' words to the server: one report under way at a time, so that whatever piles up
meanwhile goes together, and a first word goes at once."""

from __future__ import annotations

import asyncio

import structlog

from hostagent.backoff import Backoff
from hostagent.client import Client
from hostagent.errors import ApiError, Unreachable
from hostagent.outbox import Box, Sent
from hostagent.wire import Item

logger = structlog.get_logger(__name__)

# Decoded bytes that end a report: with one more item of ITEM_BYTES and a record, base64 (4/3) and the
# records' JSON it stays under 4 MiB.
REPORT_BYTES = 2 * 1024 * 1024
ITEMS_LIMIT = 500
RECORD_JSON_BYTES = 24


class Reporter:
    """Outboxes queue up and give one item of output a turn, so a flood does not starve the others."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._waiting: dict[Box, None] = {}  # in order
        self._woken = asyncio.Event()
        self._backoff = Backoff()
        self._is_careful = False  # one lease a report, after a report was refused as a whole

    def wake(self, outbox: Box) -> None:
        self._waiting[outbox] = None
        self._woken.set()

    async def run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            while sent := self._collect():
                if not await self._deliver(sent):
                    await asyncio.sleep(self._backoff.next_s())

    def _collect(self) -> list[tuple[Box, list[Sent]]]:
        turns: list[tuple[Box, list[Sent]]] = []
        size = items = 0
        while self._waiting and size < REPORT_BYTES and items < ITEMS_LIMIT:
            outbox = next(iter(self._waiting))
            del self._waiting[outbox]
            sent = outbox.collect()
            if not sent:
                continue
            turns.append((outbox, sent))
            items += len(sent)
            size += sum(_weight(one) for one in sent)
            if self._is_careful:
                break
        return turns

    async def _deliver(self, turns: list[tuple[Box, list[Sent]]]) -> bool:
        items: list[Item] = [one.item for _, sent in turns for one in sent]
        try:
            results = iter(await self._client.report(items))
        except Unreachable as error:
            logger.warning("report_unanswered", items=len(items), error=str(error))
            self._put_back(turns)
            return False
        except ApiError as error:
            return self._refused(turns, error)
        self._backoff.reset()
        self._is_careful = False
        for outbox, sent in turns:
            is_counted = True
            for one, result in [(one, next(results)) for one in sent]:
                is_counted = is_counted and outbox.take(one, result)
            self.wake(outbox)  # there may be more
        return True

    def _refused(self, turns: list[tuple[Box, list[Sent]]], error: ApiError) -> bool:
        """The server did not look at the items. Find the one to blame by sending each lease alone."""
        if error.status in (401, 403):
            raise error
        logger.error("report_refused", status=error.status, code=error.code, leases=len(turns))
        if len(turns) == 1:
            outbox, _ = turns[0]
            outbox.give_up()
        self._is_careful = True
        self._put_back(turns)
        return False

    def _put_back(self, turns: list[tuple[Box, list[Sent]]]) -> None:
        """To the front, in their order."""
        self._waiting = {outbox: None for outbox, _ in turns} | self._waiting
        self._woken.set()


def _weight(sent: Sent) -> int:
    if sent.batch is None:
        return 1024  # a finished item with its message
    return len(sent.batch.data) + RECORD_JSON_BYTES * len(sent.batch.records)
