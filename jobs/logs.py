"""What readers see of a job's output: entries, cut from the stored records.

An entry ends at a newline or at the end of its record, whichever comes first. Stored bytes and
records never change, so the entries of a job never change either: they only grow in number. Who only
wants the bytes reads whole records instead: a flood of two-byte lines has a thousand lines in one.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypedDict

import zstandard

from jobs.models import Job, LogChunk
from jobs.states import Stream

ZSTD_LEVEL = 3
PAGE_CHUNKS = 16  # rows read at once; a chunk is at most 1 MiB
SCAN_LIMIT_BYTES = 16 * 1024 * 1024  # read for one page, where a choice of streams leaves most out
ENTRY_COST_BYTES = 120  # what an entry's JSON weighs besides its message

Record = Sequence[int]  # unix ms, stream, length in bytes


class Entry(TypedDict, total=False):
    """One line or part of a line. `base64` holds the exact bytes (with the newline, if one ended the
    entry) where `message` could not; `partial` says that no newline ended it."""

    timestamp: str
    level: str
    message: str
    stream: str
    offset: int
    source: str
    partial: bool
    base64: str


class Unit(StrEnum):
    """What one entry is."""

    LINE = "line"  # ends at a newline, which is left out of the message
    RECORD = "record"  # everything of one stored record, newlines included; always `partial`


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of output with the records that cover it."""

    offset: int
    records: Sequence[Record]
    data: bytes


@dataclass(frozen=True, slots=True)
class LogPage:
    """Entries from an offset on. `next_offset` is where to go on reading."""

    entries: list[Entry]
    next_offset: int


def compress(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(data)


def decompress(data: bytes, length: int) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=max(length, 1))


def entries(chunks: Iterable[Chunk], start: int = 0, unit: Unit = Unit.LINE) -> Iterator[tuple[Entry, int]]:
    """Each entry with the offset of the byte after it. `start` may lie inside an entry."""
    for chunk in chunks:
        begin = chunk.offset
        for at_ms, stream, length in chunk.records:
            end = begin + length
            if end > start:
                skip = max(start - begin, 0)
                run = chunk.data[begin - chunk.offset + skip : end - chunk.offset]
                if unit is Unit.RECORD:
                    stamp = _timestamp(at_ms)
                    yield _entry(run, begin + skip, stamp, Stream(stream), has_newline=False), end
                else:
                    yield from _record_entries(run, begin + skip, at_ms, Stream(stream))
            begin = end


def _record_entries(run: bytes, offset: int, at_ms: int, stream: Stream) -> Iterator[tuple[Entry, int]]:
    stamp = _timestamp(at_ms)
    begin = 0
    while begin < len(run):
        newline = run.find(b"\n", begin)
        has_newline = newline >= 0
        end = newline + 1 if has_newline else len(run)
        line = run[begin : end - has_newline]
        yield _entry(line, offset + begin, stamp, stream, has_newline=has_newline), offset + end
        begin = end


def _entry(line: bytes, offset: int, stamp: str, stream: Stream, *, has_newline: bool) -> Entry:
    message = line.decode("utf-8", "replace")
    entry: Entry = {
        "timestamp": stamp,
        "level": "error" if stream is Stream.STDERR else "info",
        "message": message,
        "stream": stream.name.lower(),
        "offset": offset,
    }
    if stream is Stream.PLATFORM:
        entry["source"] = "platform"
    if not has_newline:
        entry["partial"] = True
    if "\ufffd" in message and message.encode() != line:
        entry["base64"] = base64.b64encode(line + b"\n" * has_newline).decode()
    return entry


def _timestamp(at_ms: int) -> str:
    whole, ms = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def entry_bytes(entry: Entry) -> bytes:
    """The exact bytes an entry was made of."""
    if "base64" in entry:
        return base64.b64decode(entry["base64"])
    return entry["message"].encode() + (b"" if entry.get("partial") else b"\n")


def page(
    job: Job,
    offset: int,
    *,
    limit: int,
    limit_bytes: int,
    streams: frozenset[Stream] = frozenset(Stream),
    unit: Unit = Unit.LINE,
) -> LogPage:
    """Up to `limit` entries and about `limit_bytes` of answer (always at least one entry, if there is one).

    With a choice of streams the others are read and left out, so a page may hold fewer entries than
    there are; only `next_offset` says how far it came.
    """
    if offset >= job.log_bytes or job.logs_expired_at is not None:
        return LogPage([], job.log_bytes)
    names = {stream.name.lower() for stream in streams}
    found: list[Entry] = []
    size = 0
    end = offset
    for entry, following in entries(_stored(job, offset), offset, unit):
        if len(found) >= limit or size >= limit_bytes or end - offset >= SCAN_LIMIT_BYTES:
            break
        if entry["stream"] in names:
            found.append(entry)
            size += len(entry["message"]) + len(entry.get("base64", "")) + ENTRY_COST_BYTES
        end = following
    return LogPage(found, end)


def _stored(job: Job, offset: int) -> Iterator[Chunk]:
    """The chunks of a job that hold bytes at or after `offset`, in order, a few rows at a time."""
    chunks = LogChunk.objects.filter(job_id=job.pk).order_by("offset")
    first = chunks.filter(offset__lte=offset).order_by("-offset").values_list("offset", flat=True).first()
    begin = first if first is not None else offset
    while True:
        rows = chunks.filter(offset__gte=begin).values_list("offset", "length", "records", "data")
        found = list(rows[:PAGE_CHUNKS])
        for at, length, records, data in found:
            yield Chunk(at, records, decompress(bytes(data), length))
        if len(found) < PAGE_CHUNKS:
            return
        begin = found[-1][0] + found[-1][1]
