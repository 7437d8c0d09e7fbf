"""What hosts answer to questions, checked field by field. File names are hostile: any bytes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from core.errors import Invalid
from workspaces.services import Found, PathsFound
from workspaces.states import CompareFailure

LISTED_LIMIT = 10_000  # paths of one answer, of all kinds together
LISTED_LIMIT_BYTES = 1024 * 1024  # and their bytes
PATH_LIMIT_BYTES = 64 * 1024

Epoch = Annotated[int, Meta(ge=1, le=2**31 - 1)]
QuestionId = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Listed = Annotated[bytes, Meta(max_length=LISTED_LIMIT_BYTES)]  # base64 on the wire; NUL between paths
Total = Annotated[int, Meta(ge=0, le=2**53)]


class Totals(Struct, frozen=True):
    added: Total
    changed: Total
    removed: Total


class Done(Struct, frozen=True, tag_field="result", tag="done"):
    added: Listed
    changed: Listed
    removed: Listed
    totals: Totals

    def __post_init__(self) -> None:
        found = self.found()
        kinds = (found.added, found.changed, found.removed)
        if sum(len(kind.listed) for kind in kinds) > LISTED_LIMIT:
            raise ValueError(f"more than {LISTED_LIMIT} paths")
        if sum(map(len, (self.added, self.changed, self.removed))) > LISTED_LIMIT_BYTES:
            raise ValueError(f"more than {LISTED_LIMIT_BYTES} bytes of paths")
        for kind in kinds:
            if kind.total < len(kind.listed):
                raise ValueError("a total is less than what is listed")
            if any(not 0 < len(path) <= PATH_LIMIT_BYTES for path in kind.listed):
                raise ValueError("no file has such a path")

    def found(self) -> Found:
        return Found(
            PathsFound(_split(self.added), self.totals.added),
            PathsFound(_split(self.changed), self.totals.changed),
            PathsFound(_split(self.removed), self.totals.removed),
        )


class Failed(Struct, frozen=True, tag_field="result", tag="failed"):
    reason: Literal["damaged", "unavailable", "too_deep", "overdue", "failed"]
    message: Annotated[str, Meta(max_length=2000)] = ""

    def found(self) -> CompareFailure:
        return CompareFailure(self.reason)


class AnswerRequest(Struct, frozen=True):
    boot_epoch: Epoch
    question: QuestionId
    answer: Done | Failed


_answer = msgspec.json.Decoder(AnswerRequest)


def answer_of(body: bytes) -> AnswerRequest:
    try:
        return _answer.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(str(error)) from error


def _split(listed: bytes) -> list[bytes]:
    return listed.split(b"\0") if listed else []
