"""Questions of the control plane: each is answered once, also with a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

import msgspec
import structlog

from hostagent.backoff import Backoff
from hostagent.client import Client
from hostagent.comparing import KEEP_S, Comparer
from hostagent.errors import AgentError, ApiError, Unreachable
from hostagent.questionwire import Answer, Failed, FailureReason, Question, question_key_of, question_of
from hostagent.volumes.errors import Damaged, PathTooLong, StorageRefused, StorageUnavailable, VolumeMissing
from hostagent.volumes.objects import SignedObjects
from hostagent.volumes.signing import Signed
from hostagent.volumes.store import VolumeStore
from hostagent.volumes.threads import blocking

logger = structlog.get_logger(__name__)

AT_ONCE = 2  # sandboxes need the disk and the CPU, too
LIMIT_S = 600.0  # from being asked to the answer, so that a question never waits for ever behind others
TELL_LIMIT_S = 60.0  # how long an answer is offered to a server that is away: it asks again
MESSAGE_LIMIT = 300

_REASONS: list[tuple[type[Exception], FailureReason]] = [
    (Damaged, "damaged"),
    (PathTooLong, "too_deep"),
    (TimeoutError, "overdue"),
    (StorageUnavailable, "unavailable"),
    (StorageRefused, "unavailable"),
    (VolumeMissing, "unavailable"),
    (Unreachable, "unavailable"),
]


class Questions:
    """Questions may be asked more than once; one that is being answered is not begun again."""

    def __init__(self, store: VolumeStore, client: Client) -> None:
        self._client = client
        self._comparer = Comparer(store)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._open: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        await blocking(self._comparer.open)

    async def detach(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def apply(self, asked: Iterable[msgspec.Raw]) -> None:
        """Returns at once."""
        for raw in asked:
            try:
                question = question_of(raw)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self._refuse(raw, str(error))
                continue
            if question.id not in self._open:
                self._open.add(question.id)
                self._start(self._answer(question))

    def _refuse(self, raw: msgspec.Raw, why: str) -> None:
        key = question_key_of(raw)
        logger.error("question_refused", question=key and key.id, why=why)
        if key is not None and key.id not in self._open:
            message = f"the host does not understand it: {why}"
            self._start(self._tell(key.id, Failed("failed", message[:MESSAGE_LIMIT])))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, question: Question) -> None:
        try:
            await self._tell(question.id, await self._found(question))
        finally:
            self._open.discard(question.id)
        await self._comparer.forget()
        await asyncio.sleep(KEEP_S + 1)
        await self._comparer.forget()

    async def _found(self, question: Question) -> Answer:
        async def sign(get: Sequence[str], _put: Sequence[tuple[str, int]]) -> Signed:
            return await self._client.sign_reads(question.id, get)

        objects = SignedObjects(self._client.storage, sign)
        try:
            async with asyncio.timeout(LIMIT_S), self._slots:
                return await self._comparer.compare(question, objects)
        except (AgentError, OSError, TimeoutError) as error:
            logger.warning("question_failed", question=question.id, error=str(error))
            return Failed(_reason(error), str(error)[:MESSAGE_LIMIT])
        except Exception:
            logger.exception("question_died", question=question.id)
            return Failed("failed", "a mistake in the host agent; its log says more")

    async def _tell(self, question: int, answer: Answer) -> None:
        backoff = Backoff()
        try:
            async with asyncio.timeout(TELL_LIMIT_S):
                while True:
                    if await self._is_told(question, answer):
                        return
                    await asyncio.sleep(backoff.next_s())
        except TimeoutError:
            logger.warning("answer_not_told", question=question)

    async def _is_told(self, question: int, answer: Answer) -> bool:
        """False where it is worth another try."""
        try:
            await self._client.answer(question, answer)
        except Unreachable as error:
            logger.warning("answer_unheard", question=question, error=str(error))
            return False
        except ApiError as error:  # somebody else was asked meanwhile
            logger.warning("answer_refused", question=question, error=str(error))
        return True


def _reason(error: Exception) -> FailureReason:
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "failed")
