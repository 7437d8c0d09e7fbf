"""Streams and manifests that no agent of ours has made, although their sums are right."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from hostagent.linux import btrfs
from hostagent.volumes import manifest as manifests
from hostagent.volumes.errors import Damaged, ManifestInvalid, PathTooLong, ReceiveFailed, StreamInvalid
from hostagent.volumes.guard import Guard, Subvolume
from hostagent.volumes.manifest import Manifest
from hostagent.volumes.receiver import Receiver
from hostagent.volumes.restore import restore
from hostagent.volumes.segments import Packer
from hostagent.volumes.stream import HEADER, Attribute, Kind, Rewriter, command
from hostagent.volumes.subvolumes import destroy
from tests.volumes.conftest import Host
from tests.volumes.saving import TENANT, save

OWN = uuid4()
PATH, UUID_, CTRANSID = Attribute.PATH, Attribute.UUID, Attribute.CTRANSID
INO = (3, (300).to_bytes(8, "little"))
TRANSID = (9).to_bytes(8, "little")


def subvol(uuid: UUID = OWN) -> bytes:
    return command(Kind.SUBVOL, (PATH, b"../../etc"), (UUID_, uuid.bytes), (CTRANSID, TRANSID))


def snapshot(parent: UUID) -> bytes:
    clone = ((Attribute.CLONE_UUID, parent.bytes), (Attribute.CLONE_CTRANSID, TRANSID))
    return command(Kind.SNAPSHOT, (PATH, b"x"), (UUID_, OWN.bytes), (CTRANSID, TRANSID), *clone)


def clone(uuid: UUID) -> bytes:
    return command(Kind.CLONE, (PATH, b"a"), (Attribute.CLONE_UUID, uuid.bytes), (Attribute.CLONE_PATH, b"b"))


END = command(Kind.END)
BAD = {
    "another magic": b"btrfs-strean\0" + b"\1\0\0\0" + subvol() + END,
    "another protocol": HEADER[:-4] + b"\2\0\0\0" + subvol() + END,
    "no subvolume": HEADER + command(Kind.MKFILE, (PATH, b"a")) + END,
    "nothing": HEADER + END,
    "another subvolume": HEADER + subvol(uuid4()) + END,
    "two subvolumes": HEADER + subvol() + subvol() + END,
    "a parent that was not named": HEADER + snapshot(uuid4()) + END,
    "a copy from elsewhere": HEADER + subvol() + clone(uuid4()) + END,
    "an unknown command": HEADER + subvol() + command(99) + END,
    "a huge command": HEADER + subvol() + b"\xff\xff\xff\x7f\x0f\0" + bytes(4),
    "an attribute beyond its command": HEADER
    + command(Kind.SUBVOL)[:0]
    + b"\x04\0\0\0\1\0\0\0\0\0\x0f\0\xff\0",
    "no end": HEADER + subvol(),
    "half a command": HEADER + subvol() + END[:-1],
    "more after the end": HEADER + subvol() + END + subvol(),
    "half a header": HEADER[:5],
}


@pytest.mark.parametrize("stream", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("step", [1, 1 << 20])
def test_what_we_never_send_is_refused(stream: bytes, step: int) -> None:
    guard = Guard("name", Subvolume(OWN, OWN), None)

    def take() -> None:
        for at in range(0, len(stream), step):
            guard.feed(stream[at : at + step])
        guard.finish()

    with pytest.raises(StreamInvalid):
        take()


def test_every_uuid_is_replaced_and_the_name_is_ours() -> None:
    parent = Subvolume(uuid4(), uuid4())
    own = Subvolume(OWN, uuid4())
    guard = Guard("name", own, parent)
    stream = HEADER + snapshot(parent.stream) + clone(OWN) + clone(parent.stream) + END
    passed = b"".join(map(bytes, guard.feed(stream)))
    guard.finish()
    assert OWN.bytes not in passed
    assert parent.stream.bytes not in passed
    assert passed.count(parent.local.bytes) == passed.count(own.local.bytes) == 2
    assert b"name" in passed


def test_a_path_that_could_not_be_received_is_found_when_it_is_sent() -> None:
    stream = HEADER + command(Kind.MKFILE, (PATH, b"a" * 4001))
    with pytest.raises(PathTooLong):
        Rewriter({}).feed(stream)


@pytest.fixture
def jail(root: Path) -> Path:
    path = root / "received/jail"
    path.parent.mkdir()
    btrfs.subvolume_create(path)
    return path


def receive(jail: Path, stream: bytes) -> None:
    receiver = Receiver(jail)
    try:
        receiver.start()
        receiver.write([stream])
        receiver.finish()
    finally:
        receiver.close()


def write(path: bytes, data: bytes) -> bytes:
    return command(Kind.WRITE, (PATH, path), (Attribute.FILE_OFFSET, bytes(8)), (Attribute.DATA, data))


def begin(name: bytes = b"1") -> bytes:
    return HEADER + command(Kind.SUBVOL, (PATH, name), (UUID_, OWN.bytes), (CTRANSID, TRANSID))


def test_a_stream_cannot_write_to_a_device(jail: Path, tmp_path: Path) -> None:
    """A device node is made, as a volume may hold one; nothing goes through it."""
    rdev = os.makedev(1, 3)  # /dev/null: harmless, if this fails
    node = (
        (PATH, b"node"),
        INO,
        (8, rdev.to_bytes(8, "little")),
        (5, (stat.S_IFCHR | 0o666).to_bytes(8, "little")),
    )
    with pytest.raises(ReceiveFailed, match="Permission denied"):
        receive(jail, begin() + command(Kind.MKNOD, *node) + write(b"node", b"x") + END)
    assert (jail / "1/node").lstat().st_rdev == rdev
    destroy(jail)


@pytest.mark.parametrize("target", ["{outside}", "../../../../../../../../../..{outside}"])
def test_a_stream_cannot_leave_its_directory(jail: Path, tmp_path: Path, target: str) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    link = os.fsencode(target.format(outside=outside))
    symlink = command(Kind.SYMLINK, (PATH, b"link"), INO, (Attribute.PATH_LINK, link))
    with pytest.raises(ReceiveFailed, match="No such file"):
        receive(jail, begin() + symlink + write(b"link", b"touched") + END)
    with pytest.raises(ReceiveFailed):
        receive(
            jail, begin().replace(b"1", b"2", 1) + write(b"../../../.." + os.fsencode(outside), b"x") + END
        )
    assert outside.read_text() == "untouched"
    destroy(jail)


def test_the_same_stream_does_write_where_nothing_confines_it(jail: Path) -> None:
    """The control: what the others are denied works within."""
    make = command(Kind.MKFILE, (PATH, b"plain"), INO)
    symlink = command(Kind.SYMLINK, (PATH, b"link"), INO, (Attribute.PATH_LINK, b"plain"))
    receive(jail, begin() + make + symlink + write(b"link", b"touched") + END)
    assert (jail / "1/plain").read_text() == "touched"
    destroy(jail)


async def test_a_stream_of_another_version_under_a_right_manifest(host: Host, workspace: UUID) -> None:
    """A dishonest host may store anything with right sums; it is refused, and nothing of it is seen."""
    volume = host.store.create(TENANT, workspace, 1 << 30)
    victim = await save(host.objects, volume)
    packer = Packer()
    stream = HEADER + subvol() + clone(UUID(victim.manifest.subvolume)) + END
    pieces = [*packer.add([stream]), *packer.rest()]
    forged = Manifest(
        1, None, str(OWN), None, len(stream), packer.raw_sha256, [piece.segment for piece in pieces], 1
    )
    data = manifests.encode(forged)
    for piece in pieces:
        await host.objects.put(piece.segment.sha256, piece.data)
    await host.objects.put(manifests.name(data), data)
    with pytest.raises(Damaged, match="copies from a subvolume"):
        await restore(host.store, "u2", uuid4(), manifests.name(data), host.objects)
    assert host.store.volumes() == [(TENANT, workspace)]


GOOD = Manifest(1, None, str(OWN), None, 5, "0" * 64, [manifests.Segment("1" * 64, 9, 5)], 1)
Change = Callable[[bytes], bytes]
LIES: dict[str, Change] = {
    "spaces": lambda data: data.replace(b",", b", "),
    "an unknown key": lambda data: data[:-1] + b',"more":1}',
    "a key twice": lambda data: data.replace(b'"made_at":1', b'"made_at":1,"made_at":1'),
    "format 2": lambda data: data.replace(b'"format":1', b'"format":2'),
    "a sum of other sizes": lambda data: data.replace(b'"raw_bytes":5', b'"raw_bytes":6'),
    "a name that is a path": lambda data: data.replace(b"1" * 64, b"../" + b"1" * 61),
    "no segments": lambda data: data.replace(b'[["' + b"1" * 64 + b'",9,5]]', b"[]"),
    "a segment of 1 GiB": lambda data: data.replace(b",9,5]", b",9,1073741824]"),
    "upper case": lambda data: data.replace(str(OWN).encode(), str(OWN).upper().encode() + b""),
    "no JSON": lambda data: data[:-1],
    "not UTF-8": lambda data: data.replace(b'"parent"', b'"par\xffnt"'),
    "deep nesting": lambda _: b"[" * 100000,
    "too long": lambda data: data + b" " * manifests.MANIFEST_LIMIT_BYTES,
}


def test_a_manifest_has_one_form() -> None:
    data = manifests.encode(GOOD)
    assert manifests.decode(data) == GOOD
    assert (
        data
        == (
            f'{{"format":1,"image":null,"made_at":1,"parent":null,"raw_bytes":5,"raw_sha256":"{"0" * 64}",'
            f'"segments":[["{"1" * 64}",9,5]],"subvolume":"{OWN}"}}'
        ).encode()
    )


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_manifest_of_another_form_is_refused(lie: Change) -> None:
    with pytest.raises(ManifestInvalid):
        manifests.decode(lie(manifests.encode(GOOD)))
