"""Reading an exec's spool from any offsets, while its middle is given back."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from execwire.frames import Gap, Output, Stream
from hostagent.execs import ledger as ledgers
from hostagent.execs.cursor import Cursor
from hostagent.execs.ledger import Ledger
from hostagent.execs.records import Cut, Mark

LIMIT_BYTES = 64 * 1024


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "STEP_BYTES", 8 * 1024)


class Spool:
    """What conmon would have written, and what each stream is in truth."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.whole = {Stream.STDOUT: b"", Stream.STDERR: b""}
        self._random = random.Random(seed)
        self._seconds = 0

    def grow(self, lines: int) -> None:
        with self.path.open("ab") as file:
            for _ in range(lines):
                file.write(self._line())

    def _line(self) -> bytes:
        self._seconds = (self._seconds + self._random.choice((0, 0, 1))) % 60
        stream = self._random.choice(list(Stream))
        tag = self._random.choice((b"F", b"P"))
        data = self._random.randbytes(self._random.randrange(1, 300)).replace(b"\n", b"-")
        self.whole[stream] += data + (b"\n" if tag == b"F" else b"")
        head = b"2026-11-23T12:00:%02d.123456789+00:00 %s %s " % (
            self._seconds,
            stream.name.lower().encode(),
            tag,
        )
        return head + data + b"\n"


def check(found: list[Output | Gap], whole: dict[Stream, bytes], wanted: dict[Stream, int]) -> int:
    """Every frame is true, and they follow each other without a hole. Answers how much was missing."""
    missing, at = 0, dict(wanted)
    for frame in found:
        assert frame.offset == at[frame.stream]
        if isinstance(frame, Gap):
            missing += frame.bytes
            at[frame.stream] += frame.bytes
        else:
            assert frame.data == whole[frame.stream][frame.offset : frame.offset + len(frame.data)]
            at[frame.stream] += len(frame.data)
    assert at == {stream: max(len(data), wanted[stream]) for stream, data in whole.items()}
    return missing


@pytest.mark.parametrize("seed", range(10))
async def test_every_reader_gets_the_same_truth(tmp_path: Path, seed: int) -> None:
    spool, chance, cuts = Spool(tmp_path / "log", seed), random.Random(seed), list[Cut]()
    spool.grow(10)
    ledger = Ledger(spool.path, LIMIT_BYTES, None, cuts.append)
    with Cursor(spool.path, lambda: cuts[-1] if cuts else None, 0, 0) as live:
        told: list[Output | Gap] = []
        for _ in range(20):
            spool.grow(chance.randrange(100))
            await ledger._catch_up(is_last=False)
            if chance.random() < 0.5:  # sometimes it is slower than the middle goes
                told += live.read(is_last=False)
        total = await ledger.finish()
        told += live.read(is_last=True)
    ledger.close()
    check(told, spool.whole, dict.fromkeys(Stream, 0))
    sizes = {stream: len(data) for stream, data in spool.whole.items()}
    assert total == Mark(spool.path.stat().st_size, sizes[Stream.STDOUT], sizes[Stream.STDERR])
    for _ in range(20):
        wanted = {stream: chance.randrange(size + 100) for stream, size in sizes.items()}
        cursor = Cursor(spool.path, lambda: cuts[-1], wanted[Stream.STDOUT], wanted[Stream.STDERR])
        with cursor:
            check(list(cursor.read(is_last=True)), spool.whole, wanted)


async def test_successor_goes_on_after_the_cut(tmp_path: Path) -> None:
    spool, cuts = Spool(tmp_path / "log", 7), list[Cut]()
    spool.grow(2000)
    first = Ledger(spool.path, LIMIT_BYTES, None, cuts.append)
    await first._catch_up(is_last=False)
    first.close()
    spool.grow(2000)
    second = Ledger(spool.path, LIMIT_BYTES, cuts[-1], cuts.append)
    total = await second.finish()
    second.close()
    assert (total.stdout, total.stderr) == tuple(len(data) for data in spool.whole.values())
    with Cursor(spool.path, lambda: cuts[-1], 0, 0) as cursor:
        missing = check(list(cursor.read(is_last=True)), spool.whole, dict.fromkeys(Stream, 0))
    kept = total.stdout + total.stderr - missing
    assert LIMIT_BYTES // 2 < kept < LIMIT_BYTES + 2 * 8 * 1024
    assert spool.path.stat().st_blocks * 512 < 2 * LIMIT_BYTES
