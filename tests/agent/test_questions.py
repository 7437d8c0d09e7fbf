"""Questions, as far as no real version is needed: each is answered, also where there is no answer."""

from __future__ import annotations

from typing import Any

import pytest

from hostagent import questions
from hostagent.comparing import Comparer
from hostagent.questionwire import Done, Question, Totals
from hostagent.volumes.errors import Damaged, PathTooLong, StorageUnavailable
from tests.agent.conftest import Agent
from tests.agent.fake_control_plane import FakeControlPlane

ASKED = {
    "id": 7, "kind": "diff", "tenant": "u12", "workspace": "00000000-0000-4000-8000-000000000001",
    "old": "a" * 64, "new": "b" * 64, "tree_bytes": 10,
}  # fmt: skip


class Comparing:
    """Stands for the copies of two versions on a real file system."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[int] = []
        self.error: Exception | None = None
        monkeypatch.setattr(Comparer, "compare", self.compare)

    async def compare(self, question: Question, _objects: object) -> Done:
        self.asked.append(question.id)
        if self.error is not None:
            raise self.error
        return Done(b"caf\xe9\0x", b"", b"", Totals(2, 0, 0))


@pytest.fixture
def comparing(monkeypatch: pytest.MonkeyPatch) -> Comparing:
    return Comparing(monkeypatch)


async def test_a_question_is_answered(agent: Agent, plane: FakeControlPlane, comparing: Comparing) -> None:
    await plane.ask(ASKED)
    assert await plane.answer(7) == {
        "result": "done", "added": "Y2Fm6QB4", "changed": "", "removed": "",
        "totals": {"added": 2, "changed": 0, "removed": 0},
    }  # fmt: skip


async def test_an_answer_is_told_until_it_is_heard(
    agent: Agent, plane: FakeControlPlane, comparing: Comparing
) -> None:
    plane.failing["answers"], plane.losing["answers"] = 2, 1
    await plane.ask(ASKED)
    await plane.wait(lambda: len(plane.answers) == 2)  # the reply to the first was lost
    assert comparing.asked == [7]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Damaged("a" * 64, "b" * 64, "is not in the bucket"), "damaged"),
        (PathTooLong("x"), "too_deep"),
        (StorageUnavailable("x"), "unavailable"),
        (TimeoutError(), "overdue"),
        (OSError(28, "No space left on device"), "failed"),
        (RuntimeError("a mistake"), "failed"),
    ],
)
async def test_a_failure_is_an_answer(
    agent: Agent, plane: FakeControlPlane, comparing: Comparing, error: Exception, reason: str
) -> None:
    comparing.error = error
    await plane.ask(ASKED)
    assert (await plane.answer(7))["reason"] == reason
    comparing.error = None
    await plane.ask(ASKED)  # again, later
    await plane.wait(lambda: len(plane.answers) == 2)
    assert plane.answers[1]["answer"]["result"] == "done"


async def test_one_that_takes_too_long(
    agent: Agent, plane: FakeControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "LIMIT_S", 0.0)
    await plane.ask(ASKED)
    assert (await plane.answer(7))["reason"] == "overdue"


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "size"},
        {"tenant": "../../etc"},
        {"old": "../x"},
        {"workspace": "x"},
        {"tree_bytes": -1},
    ],
)
async def test_what_is_not_understood_is_answered_too(
    agent: Agent, plane: FakeControlPlane, comparing: Comparing, change: dict[str, Any]
) -> None:
    await plane.ask({"id": "no number"})
    await plane.ask(ASKED | change)
    answer = await plane.answer(7)
    assert (answer["result"], answer["reason"]) == ("failed", "failed")
    assert comparing.asked == []
    lease = await plane.submit("exit 3")
    assert (await plane.finished(lease))["exit_code"] == 3


async def test_a_question_that_is_repeated_is_not_begun_again(
    agent: Agent, plane: FakeControlPlane, comparing: Comparing
) -> None:
    plane.failing["answers"] = 3  # meanwhile it is not over
    plane.repeats = True
    await plane.ask(ASKED)
    await plane.wait(lambda: plane.answers)
    plane.repeats = False
    assert comparing.asked == [7] * len(plane.answers)
