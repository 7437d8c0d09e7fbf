"""Two versions side by side: from what is here and what is in the bucket, apart from volumes in use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from hostagent import comparing
from hostagent.comparing import Comparer, answer_of
from hostagent.questionwire import Done, Question
from hostagent.volumes.diff import Difference
from hostagent.volumes.errors import Damaged, StorageUnavailable
from hostagent.volumes.send import send
from hostagent.volumes.volume import Version, Volume
from tests.volumes.conftest import Host, wipe
from tests.volumes.s3 import S3Server
from tests.volumes.saving import TENANT, save

GIB = 1 << 30
ODD = b"odd/\xff\n"


@pytest.fixture
def volume(host: Host, workspace: UUID) -> Volume:
    return host.store.create(TENANT, workspace, GIB)


@pytest.fixture
def comparer(host: Host) -> Iterator[Comparer]:
    comparer = Comparer(host.store)
    comparer.open()
    yield comparer
    comparer.open()  # removes all


@pytest.fixture
async def versions(host: Host, volume: Volume) -> list[Version]:
    """Four of them. What is written the third time looks like what it was."""
    upper = volume.live / "upper"
    (upper / "odd").mkdir()
    for name in ("same", "rewritten", "gone"):
        (upper / name).write_text("a")
    found = [await save(host.objects, volume, 1)]
    (upper / "gone").unlink()
    (upper / os.fsdecode(ODD)).touch()
    found.append(await save(host.objects, volume, 2))
    before = (upper / "rewritten").stat()
    (upper / "rewritten").write_text("b")
    os.utime(upper / "rewritten", ns=(before.st_atime_ns, before.st_mtime_ns))
    found.append(await save(host.objects, volume, 3))
    (upper / "last").write_text("c")
    found.append(await save(host.objects, volume, 4))
    return found


def asked(workspace: UUID, old: Version, new: Version, tree_bytes: int = 0) -> Question:
    return Question(
        id=1, kind="diff", revision=1, tenant=TENANT, workspace=workspace, old=old.sha256, new=new.sha256,
        tree_bytes=tree_bytes,
    )  # fmt: skip


def paths(answer: Done) -> tuple[list[bytes], ...]:
    return tuple(
        listed.split(b"\0") if listed else [] for listed in (answer.added, answer.changed, answer.removed)
    )


WHOLE = ([b"last", ODD], [b"rewritten"], [b"gone"])


async def test_what_is_here_is_compared_here(
    host: Host, workspace: UUID, versions: list[Version], comparer: Comparer
) -> None:
    host.signing.gets.clear()
    assert paths(await comparer.compare(asked(workspace, versions[0], versions[3]), host.objects)) == WHOLE
    assert host.signing.gets == []


async def test_a_host_that_has_nothing_fetches_all(
    host: Host, root: Path, workspace: UUID, versions: list[Version]
) -> None:
    wipe(root)
    host.store.open()
    comparer = Comparer(host.store)
    comparer.open()
    assert paths(await comparer.compare(asked(workspace, versions[0], versions[3]), host.objects)) == WHOLE
    assert host.store.volumes() == []
    comparer.open()


async def test_a_host_that_has_the_newest_only(
    host: Host, volume: Volume, workspace: UUID, versions: list[Version], comparer: Comparer
) -> None:
    """What was received anew shares no inode with it; still what was rewritten to look the same is found."""
    volume.retain(())
    (volume.live / "upper/unsaved").touch()
    assert paths(await comparer.compare(asked(workspace, versions[0], versions[3]), host.objects)) == WHOLE
    assert (volume.head, volume.local_versions()) == (versions[3].sha256, [versions[3].sha256])
    assert (volume.live / "upper/unsaved").exists()


async def test_from_pair_to_pair_only_what_is_new_is_fetched(
    host: Host, root: Path, workspace: UUID, versions: list[Version]
) -> None:
    wipe(root)
    host.store.open()
    comparer = Comparer(host.store)
    comparer.open()
    one, two, three, _ = versions
    assert paths(await comparer.compare(asked(workspace, one, two), host.objects)) == ([ODD], [], [b"gone"])
    host.signing.gets.clear()
    for _ in range(2):
        answer = await comparer.compare(asked(workspace, two, three), host.objects)
        assert paths(answer) == ([], [b"rewritten"], [])
        assert set(host.signing.gets) == {three.sha256, *(s.sha256 for s in three.manifest.segments)}
    assert paths(await comparer.compare(asked(workspace, one, two), host.objects)) == ([ODD], [], [b"gone"])
    comparer.open()


async def test_versions_that_were_sent_in_full_each(
    host: Host, root: Path, workspace: UUID, versions: list[Version]
) -> None:
    full = [await send(version.path, None, host.objects, made_at=7) for version in versions]
    wipe(root)
    host.store.open()
    comparer = Comparer(host.store)
    comparer.open()
    question = Question(
        id=1, kind="diff", revision=1, tenant=TENANT, workspace=workspace, old=full[1].sha256,
        new=full[3].sha256,
    )  # fmt: skip
    # "rewritten" has the size and the times that it had: see `diff`.
    assert paths(await comparer.compare(question, host.objects)) == ([b"last"], [], [])
    comparer.open()


async def test_copies_go_again(
    host: Host, root: Path, workspace: UUID, versions: list[Version], comparer: Comparer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    copies = root / "compared/volumes" / TENANT / str(workspace)
    await comparer.compare(asked(workspace, versions[0], versions[1]), host.objects)
    await comparer.forget()
    assert copies.exists()
    monkeypatch.setattr(comparing, "KEPT_LIMIT", 0)
    await comparer.forget()
    assert not copies.exists()
    monkeypatch.undo()
    await comparer.compare(asked(workspace, versions[0], versions[1]), host.objects)
    monkeypatch.setattr(comparing, "KEEP_S", 0.0)
    await comparer.forget()
    assert not copies.exists()
    await comparer.compare(asked(workspace, versions[0], versions[1]), host.objects)
    Comparer(host.store).open()  # of the next agent
    assert not copies.exists()


async def test_what_is_damaged_or_has_no_room(
    host: Host, root: Path, s3: S3Server, workspace: UUID, versions: list[Version]
) -> None:
    wipe(root)
    host.store.open()
    comparer = Comparer(host.store)
    comparer.open()
    with pytest.raises(StorageUnavailable, match="no room"):
        await comparer.compare(asked(workspace, versions[0], versions[1], 1 << 50), host.objects)
    s3.remove(versions[1].manifest.segments[0].sha256)
    with pytest.raises(Damaged):
        await comparer.compare(asked(workspace, versions[0], versions[1]), host.objects)
    comparer.open()


def test_a_long_answer_is_cut_and_counted() -> None:
    many, few = [f"{n:06d}" for n in range(20_000)], ["a", "\udcff"]
    answer = answer_of(Difference(many, many, few))
    added, changed, removed = paths(answer)
    assert removed == [b"a", b"\xff"]
    assert (len(added), len(changed)) == (4999, 4999)
    assert added == [name.encode() for name in many[:4999]]
    totals = answer.totals
    assert (totals.added, totals.changed, totals.removed) == (20_000, 20_000, 2)
    long = answer_of(Difference(["x" * 4000] * 1000, [], ["y"]))
    assert (long.totals.added, long.removed) == (1000, b"y")
    assert 0 < len(long.added) <= 1 << 20
