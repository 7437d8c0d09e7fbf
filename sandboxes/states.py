"""The states of a sandbox that outlives a script, and every move that is allowed. Pure data."""

from __future__ import annotations

from enum import StrEnum


class SandboxPhase(StrEnum):
    """What became of a sandbox."""

    WAITING = "waiting"  # holds its workspace, and has no host yet
    OFFERED = "offered"  # given to a host, which has not said that it is up
    RUNNING = "running"  # the host reported it up: runs and commands go there
    ENDING = "ending"  # no new run goes there; what is unsaved is being saved
    ENDED = "ended"  # gone, or given up: whatever the host still says answers 409


class SandboxEnd(StrEnum):
    """Why a sandbox ended, in its host's words."""

    DONE = "done"  # its run was over, and it was not to be kept
    STOPPED = "stopped"  # somebody asked for it
    IDLE = "idle"  # it had slept for long; all is saved
    OOM = "oom"
    DISK_FULL = "disk_full"
    LOST = "lost"
    START_FAILED = "start_failed"
    RESTORE_FAILED = "restore_failed"  # the store or the network
    DAMAGED = "damaged"  # what is stored of its workspace is not whole


class SaveFailure(StrEnum):
    """Why the host of a sandbox cannot save its files. It goes on trying."""

    UNREACHABLE = "unreachable"  # the object store does not answer
    REFUSED = "refused"  # the store, or the control plane, does not take what the host sends
    FAILED = "failed"  # on the host itself


SANDBOX_TRANSITIONS: dict[SandboxPhase, frozenset[SandboxPhase]] = {
    SandboxPhase.WAITING: frozenset({SandboxPhase.OFFERED, SandboxPhase.ENDED}),
    SandboxPhase.OFFERED: frozenset({SandboxPhase.RUNNING, SandboxPhase.ENDING, SandboxPhase.ENDED}),
    SandboxPhase.RUNNING: frozenset({SandboxPhase.ENDING, SandboxPhase.ENDED}),
    SandboxPhase.ENDING: frozenset({SandboxPhase.ENDED}),
    SandboxPhase.ENDED: frozenset(),
}
