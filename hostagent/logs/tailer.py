"""Follows a sandbox's spool while it grows, woken by inotify, and keeps its disk use bounded."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from hostagent.linux import notify
from hostagent.linux.files import punch_hole
from hostagent.logs.flood import Flood, Limits, Segment, State
from hostagent.logs.output import Output

CHECKPOINT_STEP_BYTES = 4 * 1024 * 1024  # of spool: how much is read again after a restart
BLOCK_BYTES = 4096


class Checkpoint(msgspec.Struct, frozen=True):
    """Where derivation can start again: the flood's state and how long the output was then."""

    state: State
    file_bytes: int


class Tail:
    """Moves a spool's output into an `Output`. `save` persists a checkpoint before spool is given back."""

    def __init__(
        self,
        spool: Path,
        output: Output,
        limits: Limits,
        *,
        checkpoint: Checkpoint | None,
        save: Callable[[Checkpoint], None],
        on_output: Callable[[], None],
    ) -> None:
        state = checkpoint.state if checkpoint else None
        self._flood = Flood(limits, self._read, state)
        self._spool = spool
        self._output = output
        self._save = save
        self._on_output = on_output
        self._fd = -1
        self._saved = self._flood.state.position
        self._is_ended = False
        self._changes: notify.Changes | None = None
        output.rewind(self._flood.state.stored, checkpoint.file_bytes if checkpoint else 0)

    @property
    def dropped_bytes(self) -> int:
        return self._flood.state.dropped

    def end(self) -> None:
        """The spool does not grow any more: `follow` reads it to its end and returns."""
        self._is_ended = True
        if self._changes is not None:
            self._changes.add("")

    async def follow(self) -> None:
        with notify.shared().subscribe(self._spool.parent, notify.MODIFY) as self._changes:
            try:
                self._fd = os.open(self._spool, os.O_RDWR | os.O_CLOEXEC)
                while not self._is_ended:
                    await self._catch_up(self._flood.step)
                    await self._wait()
                await self._catch_up(self._flood.finish)
            finally:
                if self._fd >= 0:
                    os.close(self._fd)

    async def _wait(self) -> None:
        while not self._is_ended and self._changes is not None:
            if {"", self._spool.name} & await self._changes.wait():
                return

    async def _catch_up(self, advance: Callable[[], tuple[list[Segment], bool]]) -> None:
        is_moved = True
        while is_moved:
            segments, is_moved = advance()
            if segments:
                self._output.append(segments)
                self._on_output()
            if is_moved:
                self._release_spool()
                await asyncio.sleep(0)  # a flood must not keep everybody else waiting

    def _release_spool(self) -> None:
        state = self._flood.checkpoint()
        if state.position - self._saved < CHECKPOINT_STEP_BYTES:
            return
        self._save(Checkpoint(state, self._output.file_bytes))
        begin, end = (position // BLOCK_BYTES * BLOCK_BYTES for position in (self._saved, state.position))
        punch_hole(self._fd, begin, end - begin)
        self._saved = state.position

    def _read(self, position: int, length: int) -> bytes:
        return os.pread(self._fd, length, position)
