"""The spool parser and flood control, as functions of the spool's content.

However it is read, wherever an agent starts again: the same bytes come out, and none is unaccounted for.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostagent.config import Config
from hostagent.errors import ConfigError
from hostagent.logs.flood import NOTE_LIMIT_BYTES, Flood, Limits, Segment
from hostagent.logs.output import RECORD_LIMIT_BYTES, Output
from hostagent.logs.spool import CHUNK_BYTES, Damage, Group, Stream, incomplete_utf8, parse
from tests.agent.drivers import RUNTIME

EPOCH = datetime(2026, 11, 23, 23, 59, 58, tzinfo=UTC)
Line = tuple[int, str, str, bytes]  # ms after EPOCH, stream, tag, bytes

SMALL = Limits(head=400, rate=100, total=2000, tail=100)


def spool_line(line: Line) -> bytes:
    ms, stream, tag, data = line
    at = EPOCH + timedelta(milliseconds=ms)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06d}123+00:00 {stream} {tag} ".encode() + data + b"\n"


def produced(lines: Sequence[Line]) -> bytes:
    return b"".join(data + (b"\n" if tag == "F" else b"") for _, _, tag, data in lines)


@st.composite
def lines_of_a_spool(draw: st.DrawFn) -> list[Line]:
    """Bursts of lines with one header, as conmon writes them, and gaps that refill the bucket."""
    lines: list[Line] = []
    ms = 0
    for _ in range(draw(st.integers(0, 12))):
        ms += draw(st.sampled_from([0, 0, 1, 300, 2500]))
        stream = draw(st.sampled_from(["stdout", "stderr"]))
        payload = st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"")) | st.sampled_from(
            [b"", "é€𝄞".encode(), "𝄞".encode()[:2], "𝄞".encode()[2:], b"y" * 90]
        )
        burst = draw(st.lists(payload, min_size=1, max_size=8))
        lines += [(ms, stream, "F", data) for data in burst[:-1]]
        lines.append((ms, stream, draw(st.sampled_from(["F", "F", "P"])), burst[-1]))
    return lines


class Reader:
    """Reads a spool that grows to the next of `stops` each time its end was reached."""

    def __init__(self, spool: bytes, stops: Sequence[int]) -> None:
        self.spool = spool
        self.stops = [*sorted(min(stop, len(spool)) for stop in stops), len(spool)]

    def __call__(self, position: int, length: int) -> bytes:
        return self.spool[position : min(position + length, self.stops[0])]

    def grow(self) -> bool:
        self.stops = self.stops[1:] or self.stops
        return len(self.stops) > 1 or self.stops[0] < len(self.spool)


def derive(flood: Flood, reader: Reader) -> list[Segment]:
    segments: list[Segment] = []
    while True:
        fresh, is_moved = flood.step()
        segments += fresh
        if not is_moved:
            if len(reader.stops) == 1:
                break
            reader.stops = reader.stops[1:]
    is_moved = True
    while is_moved:
        fresh, is_moved = flood.finish()
        segments += fresh
    return segments


def joined(segments: Sequence[Segment]) -> list[Segment]:
    """Without the seams between neighbours of one moment and stream."""
    merged: list[Segment] = []
    for segment in segments:
        if merged and (merged[-1].at_ms, merged[-1].stream) == (segment.at_ms, segment.stream):
            merged[-1] = Segment(segment.at_ms, segment.stream, merged[-1].data + segment.data)
        else:
            merged.append(segment)
    return merged


def flood_of(spool: bytes, stops: Sequence[int] = (), limits: Limits = SMALL) -> tuple[Flood, list[Segment]]:
    reader = Reader(spool, stops)
    flood = Flood(limits, reader)
    return flood, derive(flood, reader)


@given(lines_of_a_spool(), st.lists(st.integers(0, 5000), max_size=8))
def test_any_split_of_reads_gives_the_same_output(lines: list[Line], stops: list[int]) -> None:
    spool = b"".join(map(spool_line, lines))
    whole, expected = flood_of(spool)
    parted, segments = flood_of(spool, stops)
    assert joined(segments) == joined(expected)
    assert parted.state == whole.state


@given(lines_of_a_spool(), st.lists(st.integers(0, 5000), max_size=8), st.integers(0, 20))
def test_restart_from_any_checkpoint_gives_the_same_output(
    lines: list[Line], stops: list[int], when: int
) -> None:
    """What came out before the checkpoint, and then all that a new agent derives, is the whole."""
    spool = b"".join(map(spool_line, lines))
    whole, expected = flood_of(spool)
    reader = Reader(spool, stops)
    flood = Flood(SMALL, reader)
    before: list[Segment] = []
    for _ in range(when):
        fresh, is_moved = flood.step()
        before += fresh
        if not is_moved and len(reader.stops) > 1:
            reader.stops = reader.stops[1:]
    checkpoint = flood.checkpoint()
    rest = Reader(spool, ())
    # The spool before the checkpoint was given back.
    rest.spool = bytes(checkpoint.position) + spool[checkpoint.position :]
    second = Flood(SMALL, rest, checkpoint)
    after = derive(second, rest)
    assert joined(before + after) == joined(expected)
    assert second.state == whole.state


@given(lines_of_a_spool())
def test_every_byte_is_stored_or_counted(lines: list[Line]) -> None:
    flood, segments = flood_of(b"".join(map(spool_line, lines)))
    kept = b"".join(s.data for s in segments if s.stream != Stream.PLATFORM)
    state = flood.state
    assert state.produced == len(produced(lines)) == len(kept) + state.dropped
    assert state.stored == sum(len(s.data) for s in segments) <= SMALL.total
    notes = [s for s in segments if s.stream == Stream.PLATFORM]
    assert all(len(note.data) <= NOTE_LIMIT_BYTES for note in notes)
    told = [int(note.data.split()[1].replace(b",", b"")) for note in notes]
    assert sum(told) == state.dropped


@given(lines_of_a_spool())
def test_each_stream_is_kept_in_order_and_whole_without_a_flood(lines: list[Line]) -> None:
    ample = Limits(head=10**9, rate=1, total=10**10, tail=100)
    _, segments = flood_of(b"".join(map(spool_line, lines)), limits=ample)
    for stream, name in ((1, "stdout"), (2, "stderr")):
        kept = b"".join(s.data for s in segments if s.stream == stream)
        assert kept == produced([line for line in lines if line[1] == name])


@given(lines_of_a_spool())
def test_the_end_of_the_output_is_always_kept(lines: list[Line]) -> None:
    """The last lines that fit the tail, of either stream."""
    _, segments = flood_of(b"".join(map(spool_line, lines)))
    for stream, name in ((1, "stdout"), (2, "stderr")):
        last: list[Line] = []
        for line in reversed(lines):
            if len(produced([line, *last])) > SMALL.tail:
                break
            last.insert(0, line)
        kept = b"".join(s.data for s in segments if s.stream == stream)
        assert kept.endswith(produced([line for line in last if line[1] == name]))


@given(st.lists(st.binary(max_size=200), max_size=20), st.integers(1, 4000), st.data())
def test_any_batches_of_the_output_file_make_the_whole(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], limit: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("output") / "output"
    segments = [Segment(n // 3, 1 + n % 4 // 2, part) for n, part in enumerate(parts) if part]
    output = Output(path)
    output.append(segments)
    whole = b"".join(part for part in parts if part)
    begin = data.draw(st.integers(0, len(whole)))
    place = output.seek(begin)
    sent = b""
    while place.offset < output.stored:
        batch = output.batch(place, limit)
        assert batch.begin.offset == begin + len(sent)
        assert sum(length for _, _, length in batch.records) == len(batch.data) > 0
        assert all(0 < length <= RECORD_LIMIT_BYTES for _, _, length in batch.records)
        sent += batch.data
        place = batch.end
    assert sent == whole[begin:]
    output.close()
    again = Output(path)
    again.recover()
    assert (again.stored, again.seek(again.stored).offset) == (len(whole), len(whole))
    again.close()


@given(st.binary(max_size=12))
def test_cut_of_utf8_is_where_a_decoder_waits(data: bytes) -> None:
    cut = incomplete_utf8(data)
    assert 0 <= cut <= 3
    text = "aé€𝄞"
    whole = text.encode()
    for end in range(len(whole) + 1):
        head = whole[: end - incomplete_utf8(whole[:end])]
        assert text.startswith(head.decode())


def test_time_zone_of_the_spool_is_honoured() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    at = EPOCH.astimezone(east)
    line = f"{at:%Y-%m-%dT%H:%M:%S}.000000007+05:30 stderr P x\n".encode()
    (group,) = parse(line, 100, is_last=False)
    assert isinstance(group, Group)
    assert group.at_ns == int(EPOCH.timestamp()) * 10**9 + 7
    assert (group.stream, group.is_whole, group.data(), group.position) == (Stream.STDERR, False, b"x", 100)


@given(st.integers(1, 60))
def test_torn_last_line_is_left_for_later(length: int) -> None:
    line = spool_line((0, "stdout", "F", b"hello, this is a line"))
    torn = line[: min(length, len(line) - 1)]
    parts = list(parse(line + torn, 0, is_last=False))
    assert [(part.position, part.end_position) for part in parts] == [(0, len(line))]


def test_damaged_spool_is_counted_and_said() -> None:
    good = spool_line((5, "stdout", "F", b"good"))
    spool = (
        good + b"\0" * 100 + b"\n" + good + b"torn at the end of a full disk, without a newline at its end"
    )
    flood, segments = flood_of(spool, limits=Limits(4096, 1, 100_000, 100))
    assert [s.data for s in segments if s.stream == Stream.STDOUT] == [b"good\n", b"good\n"]
    assert sum(s.stream == Stream.PLATFORM for s in segments) == 2
    assert flood.state.dropped == (101 - 46) + (60 - 46)
    assert flood.state.position == len(spool)
    assert any(isinstance(part, Damage) for part in parse(b"x" * CHUNK_BYTES, 0, is_last=False))


def test_resumes_when_tokens_are_back_and_says_what_is_missing() -> None:
    lines: list[Line] = [(0, "stdout", "F", b"%07d" % n) for n in range(100)]
    lines += [(60_000, "stdout", "F", b"later")]
    flood, segments = flood_of(b"".join(map(spool_line, lines)))
    text = b"".join(s.data for s in segments)
    assert text.startswith(b"0000000\n")
    assert text.endswith(b"0000099\nlater\n")
    assert flood.state.dropped > 0
    assert (
        b"mags: %d bytes of output dropped here (limit 400 bytes at once, then 100 a second)"
        % (flood.state.dropped)
        in text
    )


def test_a_line_of_two_gigabytes_is_cut_to_its_ends() -> None:
    """Without a newline anywhere; the spool is made as it is read, and memory stays small."""
    line = spool_line((0, "stdout", "P", b"x" * 8192))
    count = (2 << 30) // 8192 // 64  # a 64th of it: the rest is more of the same
    total = count * len(line)

    def read(position: int, length: int) -> bytes:
        length = min(length, total - position)
        skip = position % len(line)
        return (line * (length // len(line) + 2))[skip : skip + length]

    flood = Flood(Limits.of(Config()), read)
    kept, is_moved = 0, True
    while is_moved:
        segments, is_moved = flood.step()
        kept += sum(len(s.data) for s in segments)
    while True:
        segments, is_moved = flood.finish()
        kept += sum(len(s.data) for s in segments if s.stream != Stream.PLATFORM)
        if not is_moved:
            break
    assert flood.state.produced == count * 8192 == kept + flood.state.dropped
    assert kept <= Config().log_head_bytes + Config().log_tail_bytes


@pytest.mark.parametrize(
    "change",
    [{"log_head_bytes": 0}, {"log_rate_bytes": -1}, {"log_tail_bytes": 1 << 20}, {"log_total_bytes": 1000}],
)
def test_limits_that_make_no_sense_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        Limits.of(Config(**change))


@pytest.fixture(scope="module")
def conmon_spool(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    """Run a script under the real conmon and return its spool."""

    def run(script: str) -> bytes:
        bundle = tmp_path_factory.mktemp("conmon")
        (bundle / "exit").mkdir()
        (bundle / "environment").touch()
        (bundle / "script").write_text(script)
        os.mkfifo(bundle / "gate")
        command = ["conmon", "--sync", "-c", "x", "-u", "x", "-n", "x", "-b", bundle, "-r", RUNTIME,
                   "-p", bundle / "pid", "--exit-dir", bundle / "exit", "-l", f"k8s-file:{bundle / 'log'}",
                   "--full-attach"]  # fmt: skip
        reader, writer = os.pipe()
        with subprocess.Popen(
            command,
            env=os.environ | {"_OCI_SYNCPIPE": str(writer)},
            pass_fds=[writer],
            stderr=subprocess.DEVNULL,
        ) as conmon:
            os.close(writer)
            os.read(reader, 4096)  # it watches the process now
            os.close(reader)
            (bundle / "gate").write_text("go\n")
            assert conmon.wait(60) == 0
        return Path(bundle / "log").read_bytes()

    return run


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (r"printf 'a\0b\n\n\r\n\377\376\nend'", b"a\0b\n\n\r\n\xff\xfe\nend"),
        ("head -c 30000 /dev/zero; echo; echo", bytes(30000) + b"\n\n"),
        ("seq 30000", b"".join(b"%d\n" % n for n in range(1, 30001))),
        ("", b""),
        ("exec >&-; echo closed; true", b""),
    ],
)
def test_real_conmon_writes_what_this_reads(
    conmon_spool: Callable[[str], bytes], script: str, expected: bytes
) -> None:
    flood, segments = flood_of(conmon_spool(script), limits=Limits(10**6, 1, 10**7, 100))
    assert b"".join(s.data for s in segments if s.stream == Stream.STDOUT) == expected
    assert flood.state.dropped == 0


settings.register_profile("agent", deadline=None, max_examples=200)
settings.load_profile("agent")
