"""What the agent and the data port of a host say to each other about startup commands, as JSON on the data
port's control socket: docs/reference/data-port.md."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from execwire.frames import Open, Outcome

ExecId = Annotated[str, Meta(pattern=r"^[a-z0-9]{8,32}\Z")]

# Refusals that say nothing of the command: ask again.
NOT_NOW = frozenset({"asleep", "host_trouble", "too_many_execs", "unknown_state"})
# `exec end` answers after so long in any case: nobody tells the data port that the agent which asked is gone.
END_WAIT_S = 300.0


class StartOrder(Struct, frozen=True):
    """One try of a startup command."""

    opening: Open
    previous: ExecId | None = None  # the try before: what that left running is killed first
    forget: ExecId | None = None  # an older one, of which nothing is kept from now on


class Started(Struct, frozen=True, tag="started"):
    is_new: bool


class Running(Struct, frozen=True, tag="running"):
    """It has not ended; ask again."""


class Ended(Struct, frozen=True, tag="ended"):
    outcome: Outcome
    exit_code: int | None
    at_ms: int


class Refused(Struct, frozen=True, tag="refused"):
    """`code`: `asleep` where the sandbox is frozen, otherwise as in the exec protocol."""

    code: str
    error: str


Answer = Started | Running | Ended | Refused
_order = msgspec.json.Decoder(StartOrder)


def order_of(text: str) -> StartOrder:
    """Raises ValueError where it is none."""
    return _order.decode(text)


def answer_of(values: dict[str, Any]) -> Answer:
    """Raises ValueError where it is none, e.g. of a data port that does not know the command."""
    answer: Answer = msgspec.convert(values, Answer)
    return answer
