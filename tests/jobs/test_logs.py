"""Entries are the stored bytes, cut at newlines and record ends, whatever the bytes are."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import logs
from jobs.logs import Chunk, Unit, entries, entry_bytes
from jobs.states import Stream

AT_MS = 1763881200123
piece = st.one_of(
    st.binary(max_size=12),
    st.text(max_size=6).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([b"\n", b"\n\n", b"\r\n", b"\0", b"\xff", "é\ufffd€".encode(), b"\xc3", b"\xa9"]),
)
records = st.lists(st.tuples(st.sampled_from(list(Stream)), piece.filter(bool)), max_size=12)
cuts = st.lists(st.booleans(), min_size=12, max_size=12)


def chunked(parts: list[tuple[Stream, bytes]], ends: list[bool]) -> list[Chunk]:
    """The records stored in chunks that end where `ends` says."""
    chunks: list[Chunk] = []
    offset, held = 0, list[tuple[Stream, bytes]]()
    for part, is_end in zip(parts, ends, strict=False):
        held.append(part)
        if is_end or len(held) == len(parts):
            chunks.append(chunk(offset, held))
            offset += len(chunks[-1].data)
            held = []
    return [*chunks, chunk(offset, held)] if held else chunks


def chunk(offset: int, parts: list[tuple[Stream, bytes]]) -> Chunk:
    return Chunk(offset, [[AT_MS, s, len(data)] for s, data in parts], b"".join(data for _, data in parts))


@given(records, cuts)
def test_entries_are_the_bytes(parts: list[tuple[Stream, bytes]], ends: list[bool]) -> None:
    data = b"".join(data for _, data in parts)
    offset = 0
    for entry, end in entries(chunked(parts, ends)):
        exact = entry_bytes(entry)
        assert entry["offset"] == offset
        assert exact == data[offset:end]
        assert exact.count(b"\n") == (0 if entry.get("partial") else 1)
        assert exact.endswith(b"\n") is not entry.get("partial", False)
        assert ("base64" in entry) == (
            exact.removesuffix(b"\n") != entry["message"].encode("utf-8", "replace")
        )
        offset = end
    assert offset == len(data)


@given(records, cuts, cuts)
def test_how_records_are_stored_changes_no_entry(
    parts: list[tuple[Stream, bytes]], one: list[bool], other: list[bool]
) -> None:
    assert list(entries(chunked(parts, one))) == list(entries(chunked(parts, other)))


@given(records, cuts, st.integers(0, 150))
def test_a_reader_may_begin_anywhere(parts: list[tuple[Stream, bytes]], ends: list[bool], start: int) -> None:
    chunks = chunked(parts, ends)
    data = b"".join(data for _, data in parts)
    found = list(entries(chunks, start))
    assert b"".join(entry_bytes(entry) for entry, _ in found) == data[start:]
    later = [pair for pair in entries(chunks) if pair[0]["offset"] >= start]
    assert found[len(found) - len(later) :] == later


@given(records, cuts, st.integers(0, 150))
def test_whole_records_are_the_same_bytes(
    parts: list[tuple[Stream, bytes]], ends: list[bool], start: int
) -> None:
    data = b"".join(data for _, data in parts)
    found = [entry for entry, _ in entries(chunked(parts, ends), start, Unit.RECORD)]
    assert b"".join(entry_bytes(entry) for entry in found) == data[start:]
    assert len(found) <= len(parts)
    assert all(entry["partial"] for entry in found)


@given(records, cuts)
def test_more_output_changes_no_earlier_entry(parts: list[tuple[Stream, bytes]], ends: list[bool]) -> None:
    chunks = chunked(parts, ends)
    before = list(itertools.chain.from_iterable(entries([c]) for c in chunks[:-1]))
    assert list(entries(chunks))[: len(before)] == before


def test_what_an_entry_says() -> None:
    [(plain, _), (rest, end)] = list(entries([chunk(0, [(Stream.STDERR, b"a\r\n\x1b[1mb")])]))
    assert plain == {
        "timestamp": "2025-11-23T07:00:00.123Z", "level": "error", "message": "a\r", "stream": "stderr",
        "offset": 0,
    }  # fmt: skip
    assert rest == plain | {"message": "\x1b[1mb", "offset": 3, "partial": True}
    assert end == 8


def test_a_megabyte_of_newlines_is_cut_in_linear_time() -> None:
    found = list(entries([chunk(0, [(Stream.STDOUT, b"\n" * 65536)] * 16)]))
    assert len(found) == 2**20


@pytest.mark.parametrize("data", [b"", b"x", b"x" * 2**20])
def test_compression_is_exact(data: bytes) -> None:
    assert logs.decompress(logs.compress(data), len(data)) == data


def test_a_page_ends_at_its_limits(monkeypatch: Any) -> None:
    from jobs.models import Job

    stored = [chunk(0, [(Stream.STDOUT, b"0123456789\n" * 10), (Stream.STDERR, b"e\n" * 5)])]
    monkeypatch.setattr(logs, "_stored", lambda job, offset: iter(stored))
    job = Job(log_bytes=120)
    assert logs.page(job, 0, limit=3, limit_bytes=10**6).next_offset == 33
    assert logs.page(job, 0, limit=100, limit_bytes=300).next_offset == 33
    assert logs.page(job, 5, limit=1, limit_bytes=1).next_offset == 11
    assert logs.page(job, 0, limit=100, limit_bytes=10**6).next_offset == 120
    errors = logs.page(job, 0, limit=2, limit_bytes=10**6, streams=frozenset({Stream.STDERR}))
    assert ([entry["offset"] for entry in errors.entries], errors.next_offset) == ([110, 112], 114)
    monkeypatch.setattr(logs, "SCAN_LIMIT_BYTES", 50)
    scanned = logs.page(job, 0, limit=2, limit_bytes=10**6, streams=frozenset({Stream.PLATFORM}))
    assert (scanned.entries, scanned.next_offset) == ([], 55)
