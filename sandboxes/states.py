"""The states of a sandbox that outlives a script, and every move that is allowed. Pure data."""

from __future__ import annotations

from enum import StrEnum


class SandboxPhase(StrEnum):
    """What became of a sandbox."""

    OFFERED = "offered"  # given to a host, which has not said that it is up
    RUNNING = "running"  # the host reported it up: runs and commands go there
    ENDING = "ending"  # no new run goes there; what is unsaved is being saved
    ENDED = "ended"  # gone, or given up: whatever the host still says answers 409


SANDBOX_TRANSITIONS: dict[SandboxPhase, frozenset[SandboxPhase]] = {
    SandboxPhase.OFFERED: frozenset({SandboxPhase.RUNNING, SandboxPhase.ENDING, SandboxPhase.ENDED}),
    SandboxPhase.RUNNING: frozenset({SandboxPhase.ENDING, SandboxPhase.ENDED}),
    SandboxPhase.ENDING: frozenset({SandboxPhase.ENDED}),
    SandboxPhase.ENDED: frozenset(),
}
