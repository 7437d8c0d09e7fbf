"""What goes over the wire about questions (docs/reference/host-api.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from hostagent.fields import Revision, Sha256, Size, Tenant

QuestionId = Annotated[int, Meta(ge=1, le=2**63 - 1)]
FailureReason = Literal["damaged", "unavailable", "too_deep", "overdue", "failed"]


class QuestionKey(Struct, frozen=True):
    """The part of a question that is needed to answer that it is not understood."""

    id: QuestionId


class Question(QuestionKey, frozen=True, kw_only=True):
    """What differs between two versions of a workspace?"""

    kind: Literal["diff"]
    revision: Revision
    tenant: Tenant
    workspace: UUID
    old: Sha256
    new: Sha256
    tree_bytes: Size = 0  # of both versions' files


class ReadRequest(Struct, frozen=True):
    boot_epoch: int
    question: int
    get: Sequence[str]


class Totals(Struct, frozen=True):
    added: int
    changed: int
    removed: int


class Done(Struct, frozen=True, tag_field="result", tag="done"):
    """Paths with NUL between them, base64 on the wire; `totals` counts those that are not listed, too."""

    added: bytes
    changed: bytes
    removed: bytes
    totals: Totals


class Failed(Struct, frozen=True, tag_field="result", tag="failed"):
    reason: FailureReason
    message: str = ""


Answer = Done | Failed


class AnswerRequest(Struct, frozen=True):
    boot_epoch: int
    question: int
    answer: Answer


class Accepted(Struct, frozen=True):
    """The server has taken the answer."""


_question = msgspec.json.Decoder(Question)
_key = msgspec.json.Decoder(QuestionKey)


def question_of(raw: msgspec.Raw) -> Question:
    """Raises `msgspec.ValidationError` with what is wrong."""
    return _question.decode(raw)


def question_key_of(raw: msgspec.Raw) -> QuestionKey | None:
    """Which question it is, if at least that can be read."""
    try:
        return _key.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
