"""Turns a spool into the bytes that are stored, and bounds a flood.

A token bucket of output bytes is filled by the spool's own timestamps: what is stored depends on the
spool's content alone, not on when or in which pieces it is read. An agent that starts again from a
checkpoint therefore makes the same bytes at the same offsets.

Out of tokens, lines are counted instead of stored (a run). It ends when there are tokens again, or
with the job: then a note says how many bytes are missing, and the last bytes of the run follow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

import msgspec

from hostagent.config import Config
from hostagent.errors import ConfigError
from hostagent.logs.spool import CHUNK_BYTES, OVERHEAD_BYTES, Damage, Group, Stream, incomplete_utf8, parse

SECOND_NS = 1_000_000_000
MS_NS = 1_000_000
# What a record costs besides its bytes: about what the server needs to store it. A program that
# alternates between stdout and stderr makes a record of every byte.
RECORD_COST_BYTES = 16
NOTE_LIMIT_BYTES = 256
MARK_STEP_BYTES = 4096  # distance of the points from which a kept tail can be read again
TAIL_LIMIT_BYTES = 256 * 1024  # so that a tail and a chunk fit one report item

Read = Callable[[int, int], bytes]  # (position, length) -> bytes of the spool, fewer at its end


@dataclass(frozen=True, slots=True)
class Limits:
    """See `Config.log_*_bytes`."""

    head: int
    rate: int
    total: int
    tail: int

    @classmethod
    def of(cls, config: Config) -> Limits:
        limits = cls(
            config.log_head_bytes, config.log_rate_bytes, config.log_total_bytes, config.log_tail_bytes
        )
        if not (0 <= limits.tail <= TAIL_LIMIT_BYTES and limits.head > 0 and limits.rate >= 0):
            raise ConfigError(
                "log_head_bytes, log_rate_bytes or log_tail_bytes is out of range",
                f"tail is 0 to {TAIL_LIMIT_BYTES}, head at least 1, rate at least 0",
            )
        if limits.total < 2 * (limits.tail + NOTE_LIMIT_BYTES):
            raise ConfigError(
                "log_total_bytes is too small", "give it at least twice log_tail_bytes, plus 512"
            )
        return limits

    @property
    def cap(self) -> int:
        """What may be spent before the end; the rest of the total is for the last note and tail."""
        return self.total - self.tail - NOTE_LIMIT_BYTES

    @property
    def resume(self) -> int:
        """Tokens that end a run: a second's worth, so that notes are about a second apart."""
        return min(self.head, self.tail + max(self.rate, 1))


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes to store: one stream, one moment."""

    at_ms: int
    stream: int
    data: bytes


class State(msgspec.Struct):
    """Everything the derivation knows at a line's beginning; journaled as a checkpoint."""

    tokens: int  # byte-nanoseconds: integers, so that sums do not depend on their order
    position: int = 0  # in the spool
    produced: int = 0  # bytes of output read
    stored: int = 0  # bytes given out, notes included
    dropped: int = 0
    spent: int = 0  # bytes stored plus the cost of their records
    last_ns: int = 0
    last_record: tuple[int, int] = (0, 0)  # ms, stream of the newest line that was stored
    run_bytes: int = -1  # of the run under way; -1: none
    held: tuple[bytes, bytes] = (b"", b"")  # stdout's and stderr's unfinished UTF-8 sequence


class Flood:
    """Derives segments from a spool. `state` is where it stands, `checkpoint` where it can start again."""

    def __init__(self, limits: Limits, read: Read, state: State | None = None) -> None:
        self.limits = limits
        self.state = copy(state) if state else State(tokens=limits.head * SECOND_NS)
        self._read = read
        self._marks: deque[State] = deque([copy(self.state)] if self.state.run_bytes >= 0 else [])
        self._out: list[Segment] = []

    def checkpoint(self) -> State:
        """A state from which everything that was not given out yet can be derived again; the spool
        before its position is not needed any more."""
        return copy(self._marks[0] if self._marks else self.state)

    def step(self) -> tuple[list[Segment], bool]:
        """Read one chunk on. Returns what is to be stored and whether anything was read."""
        return self._step(is_last=False)

    def finish(self) -> tuple[list[Segment], bool]:
        """As `step`, once the spool will not grow any more; at its end, whatever is held back comes out."""
        segments, is_moved = self._step(is_last=True)
        if not is_moved:
            self._end_run()
            self._release_held()
            segments, self._out = self._out, []
        return segments, is_moved

    def _step(self, *, is_last: bool) -> tuple[list[Segment], bool]:
        begin = self.state.position
        chunk = self._read(begin, CHUNK_BYTES)
        # Only a short read is the spool's end; a full one may end inside a line.
        for part in parse(chunk, begin, is_last=is_last and len(chunk) < CHUNK_BYTES):
            if isinstance(part, Damage):
                self._skip_damage(part)
            else:
                self._take(part)
        segments, self._out = self._out, []
        return segments, self.state.position > begin

    def _take(self, group: Group) -> None:
        self._refill(group.at_ns)
        if self.state.run_bytes >= 0 and self._may_resume():
            self._end_run()
        if self.state.run_bytes >= 0:
            self._drop(group)
        elif self._fits(group):
            self._store(group)
        else:
            self._overflow(group)

    def _refill(self, at_ns: int) -> None:
        state = self.state
        if state.last_ns and at_ns > state.last_ns:
            gained = (at_ns - state.last_ns) * self.limits.rate
            state.tokens = min(self.limits.head * SECOND_NS, state.tokens + gained)
        state.last_ns = at_ns

    def _cost(self, at_ns: int, stream: int, size: int) -> int:
        is_new_record = (at_ns // MS_NS, stream) != self.state.last_record
        return size + RECORD_COST_BYTES * is_new_record

    def _charge(self, at_ns: int, stream: int, size: int) -> None:
        cost = self._cost(at_ns, stream, size)
        self.state.spent += cost
        self.state.tokens -= cost * SECOND_NS
        self.state.last_record = (at_ns // MS_NS, int(stream))

    def _fits(self, group: Group) -> bool:
        cost = self._cost(group.at_ns, group.stream, group.size)
        return self.state.tokens >= cost * SECOND_NS and self.state.spent + cost <= self.limits.cap

    def _has_room(self) -> bool:
        """The job's total leaves room for another note and tail, besides the last ones."""
        return self.limits.cap - self.state.spent >= self.limits.tail + NOTE_LIMIT_BYTES

    def _may_resume(self) -> bool:
        return self.state.tokens >= self.limits.resume * SECOND_NS and self._has_room()

    def _overflow(self, group: Group) -> None:
        """Store the lines that still fit; from the first that does not, a run begins."""
        for line in group.lines():
            if not self._fits(line):
                self._release_held()
                self.state.run_bytes = 0
                self._marks.append(copy(self.state))
                self._drop(group.rest(line))
                return
            self._store(line)

    def _drop(self, group: Group) -> None:
        state = self.state
        if state.run_bytes - self._marks[-1].run_bytes >= MARK_STEP_BYTES:
            self._marks.append(copy(state))
        size = group.size
        state.position = group.end_position
        state.produced += size
        state.run_bytes += size
        # The oldest mark is needed only while the next one does not cover the tail.
        while len(self._marks) > 1 and state.run_bytes - self._marks[1].run_bytes >= self.limits.tail:
            self._marks.popleft()

    def _end_run(self) -> None:
        """Say what is missing and give the last of it."""
        state = self.state
        if state.run_bytes < 0:
            return
        kept, tail = self._tail()
        dropped = state.run_bytes - kept
        state.run_bytes = -1
        state.dropped += dropped
        self._marks.clear()
        if dropped:
            self._note(tail[0].at_ns if tail else state.last_ns, self._drop_note(dropped))
        for group in tail:
            self._give(group)

    def _tail(self) -> tuple[int, list[Group]]:
        """As many whole lines from the end of the run as the tail holds, and their size."""
        begin = self._marks[0].position
        chunk = self._read(begin, self.state.position - begin)
        groups = [part for part in parse(chunk, begin, is_last=True) if isinstance(part, Group)]
        kept = sum(group.size for group in groups)
        tail: list[Group] = []
        for group in groups:
            if kept <= self.limits.tail:
                tail.append(group)
            elif kept - group.size >= self.limits.tail:
                kept -= group.size
            else:
                kept -= self._keep_end(group, kept - self.limits.tail, tail)
        return kept, tail

    @staticmethod
    def _keep_end(group: Group, excess: int, tail: list[Group]) -> int:
        """Put `group` without its first lines, at least `excess` bytes, on `tail`. Returns their size."""
        left_out = 0
        for line in group.lines():
            if left_out >= excess:
                tail.append(group.rest(line))
                break
            left_out += line.size
        return left_out

    def _drop_note(self, dropped: int) -> str:
        limits = self.limits
        words = f"{limits.head:,} bytes at once, then {limits.rate:,} a second"
        if not self._has_room():
            words = f"{limits.total:,} bytes a job"
        return f"mags: {dropped:,} bytes of output dropped here (limit {words})\n"

    def _store(self, group: Group) -> None:
        self.state.position = group.end_position
        self.state.produced += group.size
        self._give(group)

    def _give(self, group: Group) -> None:
        """Emit a group's bytes, but hold back what begins a UTF-8 sequence: the next line may complete it."""
        self._charge(group.at_ns, group.stream, group.size)
        index = group.stream - 1
        held = list(self.state.held)
        data = held[index] + group.data()
        held[index] = b""
        if not group.is_whole:
            cut = len(data) - incomplete_utf8(data)
            data, held[index] = data[:cut], data[cut:]
        self.state.held = (held[0], held[1])
        self._emit(group.at_ns, group.stream, data)

    def _release_held(self) -> None:
        for stream, data in zip((Stream.STDOUT, Stream.STDERR), self.state.held, strict=True):
            self._emit(self.state.last_ns, stream, data)
        self.state.held = (b"", b"")

    def _note(self, at_ns: int, text: str) -> None:
        data = text.encode()
        self._charge(at_ns, Stream.PLATFORM, len(data))
        self._emit(at_ns, Stream.PLATFORM, data)

    def _emit(self, at_ns: int, stream: Stream, data: bytes) -> None:
        if data:
            self.state.stored += len(data)
            self._out.append(Segment(at_ns // MS_NS, int(stream), data))

    def _skip_damage(self, damage: Damage) -> None:
        """Count what cannot be read as dropped, and say so."""
        size = max(0, damage.end_position - damage.position - OVERHEAD_BYTES)
        state = self.state
        state.position = damage.end_position
        state.produced += size
        if state.run_bytes >= 0:
            state.run_bytes += size
            return
        state.dropped += size
        if self._has_room():
            self._release_held()
            self._note(state.last_ns, f"mags: {size:,} bytes of output were damaged on the host\n")
