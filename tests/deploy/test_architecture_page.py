"""The state diagrams in ARCHITECTURE.md are the tables in the code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from jobs.states import JOB_TRANSITIONS, LEASE_TRANSITIONS
from sandboxes.states import SANDBOX_TRANSITIONS

PAGE = (Path(__file__).resolve().parents[2] / "ARCHITECTURE.md").read_text(encoding="utf-8")
DIAGRAMS = re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)```", PAGE, re.DOTALL)


def moves(diagram: str) -> set[tuple[str, str]]:
    return set(re.findall(r"^\s+(\S+) --> (\S+)$", diagram, re.MULTILINE))


def expected(transitions: Mapping[str, frozenset[str]], first: str) -> set[tuple[str, str]]:
    between = {(str(state), str(after)) for state, following in transitions.items() for after in following}
    ends = {(str(state), "[*]") for state, following in transitions.items() if not following}
    return {("[*]", first), *between, *ends}


def test_the_picture_of_a_jobs_states_is_the_table() -> None:
    assert moves(DIAGRAMS[0]) == expected(JOB_TRANSITIONS, "accepted")


def test_the_picture_of_a_leases_states_is_the_table() -> None:
    assert moves(DIAGRAMS[1]) == expected(LEASE_TRANSITIONS, "offered")


def test_the_picture_of_a_sandboxs_states_is_the_table() -> None:
    assert moves(DIAGRAMS[2]) == expected(SANDBOX_TRANSITIONS, "waiting")
