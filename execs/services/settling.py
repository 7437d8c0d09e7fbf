"""Execs whose caller went away before their end: who looks later asks the host."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils import timezone

from execs import selectors
from execs.errors import NoDataPort
from execs.models import Exec
from execs.places import place_of
from execs.services.records import exec_ended, exec_lost, exec_started, exec_unknown
from execs.states import ExecState
from execwire import client
from execwire.client import ExecRefused, Place
from execwire.frames import Ended
from sandboxes.states import SandboxPhase

SWEEP_LIMIT = 200  # of one run, so that it stays short
ASK_S = 5.0  # for one host
AT_ONCE = 16
WENT = "The sandbox ended before the end of the command was heard of."


@dataclass(frozen=True, slots=True)
class Question:
    """An exec whose host may know more than we do."""

    known: uuid.UUID
    place: Place
    may_start: bool  # somebody may be about to start it


@dataclass(frozen=True, slots=True)
class Answer:
    known: uuid.UUID
    end: Ended | None  # None: it runs
    is_unknown: bool = False  # the host has never heard of it


def questions(rows: Sequence[Exec]) -> list[Question]:
    """What to ask hosts about these."""
    before = timezone.now() - selectors.CALLERS_GO_ON
    found = []
    for row in selectors.is_worth_asking(rows):
        try:
            place = place_of(row.sandbox)
        except NoDataPort:
            continue
        found.append(Question(row.pk, place, row.created_at > before))
    return found


async def ask(asked: Sequence[Question], patience_s: float = ASK_S) -> list[Answer]:
    """What hosts say. Those that do not answer in time are left out, and after twice that all are: a lost
    host must not hold up the worker that finds out about it."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(question: Question) -> Answer | None:
        try:
            async with turn, asyncio.timeout(patience_s):
                return Answer(question.known, await client.state(question.place, question.known.hex))
        except ExecRefused as error:
            is_unknown = error.code == "no_exec" and not question.may_start
            return Answer(question.known, None, is_unknown=True) if is_unknown else None
        except (OSError, TimeoutError, client.ExecCut, ValueError):
            return None

    asking = [asyncio.create_task(one(question)) for question in asked]
    if not asking:
        return []
    done, late = await asyncio.wait(asking, timeout=2 * patience_s)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return [answer for task in asking if task in done and (answer := task.result()) is not None]


def settle(answers: Sequence[Answer]) -> int:
    """Write down what hosts have said. Returns how many have ended."""
    ended = 0
    for answer in answers:
        if answer.is_unknown:
            ended += exec_unknown(answer.known)
        elif answer.end is not None:
            ended += exec_ended(answer.known, answer.end)
        else:
            exec_started(answer.known, timezone.now())
    return ended


def settle_gone(rows: QuerySet[Exec]) -> int:
    """Of these, the ones whose sandbox has ended: how they ended is not known any more."""
    gone = Q(sandbox__isnull=True) | Q(sandbox__state=SandboxPhase.ENDED)
    found = rows.filter(gone).exclude(state=ExecState.ENDED).values_list("pk", flat=True)
    return sum(exec_lost(known, WENT) for known in found[:SWEEP_LIMIT])


def sweep() -> int:
    """Settle what nobody looks at. Returns how many have ended."""
    ended = settle_gone(Exec.objects.all())
    rows = selectors.unsettled(SWEEP_LIMIT)
    Exec.objects.filter(pk__in=[row.pk for row in rows]).update(asked_at=timezone.now())
    return ended + settle(asyncio.run(ask(questions(rows))))
