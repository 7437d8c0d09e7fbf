"""Importing an image that somebody else made, with good and with bad intentions."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from hostagent.config import Config
from hostagent.drivers import builds
from hostagent.drivers.statefs import close_state, open_state
from hostagent.errors import AgentError
from hostagent.images import import_image
from hostagent.images.store import installed
from hostagent.linux import btrfs
from tests.privileged.conftest import make_config
from tests.privileged.roots import make_root, make_tarball
from tests.privileged.sandbox import Sandboxes

GIB = 1 << 30


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where images are, of an agent without any."""
    config = make_config(tmp_path_factory.mktemp("agent"), state_image_gb=4)
    yield open_state(config).images
    close_state(config)


@pytest.fixture(scope="module")
def root(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    standard = config.state_dir / "fs/images/standard"
    return make_root(standard, tmp_path_factory.mktemp("root") / "root", "hello from afar")


@pytest.fixture(autouse=True)
def nothing_left(images: Path) -> Iterator[None]:
    yield
    for path in images.iterdir():
        btrfs.subvolume_destroy(path)
    assert list(images.with_name("images.new").glob("*")) == []


def take(images: Path, source: Path | str, name: str = "mine", limit_bytes: int = GIB) -> str:
    return import_image(images, name, str(source), limit_bytes=limit_bytes)


async def test_imported_image_runs_a_job(
    config: Config, sandboxes: Sandboxes, root: Path, tmp_path: Path
) -> None:
    own = config.state_dir / "fs/images"
    build = take(own, make_tarball(root, tmp_path / "mine.tar"))
    try:
        ran = await sandboxes.run("read -r line < /marker; echo $line", image="mine")
        assert (ran.exit.exit_code, ran.output.text) == (0, "hello from afar\n")
        assert builds.build_of(own / "mine") == build
    finally:
        btrfs.subvolume_destroy(own / "mine")


@pytest.mark.parametrize("kind", ["plain", "gzip", "zstd"])
def test_tarball_may_be_compressed(images: Path, root: Path, tmp_path: Path, kind: str) -> None:
    tarball = make_tarball(root, tmp_path / "mine.tar", "w:gz" if kind == "gzip" else "w")
    if kind == "zstd":
        tarball.write_bytes(zstandard.ZstdCompressor().compress(tarball.read_bytes()))
    build = take(images, tarball)
    assert builds.BUILD.fullmatch(build)
    assert (images / "mine/marker").read_text() == "hello from afar\n"
    [found] = installed(images)
    assert (found.name, found.build) == ("mine", build)
    assert found.size_bytes > 1_000_000
    assert found.made_at > 1_700_000_000_000


def test_what_every_sandbox_needs_is_added(images: Path, root: Path, tmp_path: Path) -> None:
    take(images, make_tarball(root, tmp_path / "mine.tar"))
    made = images / "mine"
    for name in ("dev", "proc", "sys", "tmp", "run", "uploads", "root"):
        assert (made / name).is_dir(), name
    assert stat.S_IMODE((made / "tmp").stat().st_mode) == 0o1777
    assert "localhost" in (made / "etc/hosts").read_text()
    assert (made / "etc/resolv.conf").read_bytes() == b""
    with pytest.raises(OSError, match="Read-only"):
        (made / "probe").touch()


def test_same_bytes_again_change_nothing(images: Path, root: Path, tmp_path: Path) -> None:
    tarball = make_tarball(root, tmp_path / "mine.tar")
    build = take(images, tarball)
    before = btrfs.subvolume_id(images / "mine")
    assert take(images, tarball) == build
    assert btrfs.subvolume_id(images / "mine") == before


def test_another_import_keeps_the_former_build_beside_it(images: Path, root: Path, tmp_path: Path) -> None:
    first = take(images, make_tarball(root, tmp_path / "1.tar"))
    (tmp_path / "more").mkdir()
    shutil.copytree(root, tmp_path / "more", symlinks=True, dirs_exist_ok=True)
    (tmp_path / "more/marker").write_text("second\n")
    second = take(images, make_tarball(tmp_path / "more", tmp_path / "2.tar"))
    assert sorted(path.name for path in images.iterdir()) == ["mine", f"mine@{first}"]
    assert (builds.build_of(images / "mine"), second) == (second, builds.build_of(images / "mine"))
    assert builds.find(images, "mine", first) == images / f"mine@{first}"


def test_oci_layout_and_archive(images: Path, root: Path, tmp_path: Path) -> None:
    if shutil.which("umoci") is None:
        with pytest.raises(AgentError, match="apt-get install umoci"):
            take(images, "oci:anywhere")
        return
    layout = tmp_path / "layout"
    for arguments in (["init", "--layout", layout], ["new", "--image", f"{layout}:latest"]):
        subprocess.run(["umoci", *arguments], check=True)
    for name in ("etc", "usr", "marker", "bin", "lib", "lib64"):
        what = ["--image", f"{layout}:latest", root / name, f"/{name}"]
        subprocess.run(["umoci", "insert", *what], check=True, capture_output=True)
    build = take(images, layout)
    assert (images / "mine/marker").read_text() == "hello from afar\n"
    archive = make_tarball(layout, tmp_path / "archive.tar")
    assert take(images, f"oci-archive:{archive}") == build
    with pytest.raises(AgentError, match="oci-archive"):
        take(images, archive, "other")


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in fields.items():
        setattr(info, key, value)
    return info


Hostile = Callable[[tarfile.TarFile, Path], None]


def climbs(tar: tarfile.TarFile, canary: Path) -> None:
    tar.addfile(member(f"../../../../../../../..{canary}", size=4), io.BytesIO(b"evil"))


def is_absolute(tar: tarfile.TarFile, canary: Path) -> None:
    tar.addfile(member(str(canary), size=4), io.BytesIO(b"evil"))


def goes_through_a_link(tar: tarfile.TarFile, canary: Path) -> None:
    tar.addfile(member("out", tarfile.SYMTYPE, linkname=str(canary.parent)))
    tar.addfile(member(f"out/{canary.name}", size=4), io.BytesIO(b"evil"))


def goes_through_a_relative_link(tar: tarfile.TarFile, canary: Path) -> None:
    tar.addfile(member("out", tarfile.SYMTYPE, linkname=f"../../../../../../..{canary.parent}"))
    tar.addfile(member(f"out/{canary.name}", size=4), io.BytesIO(b"evil"))


def is_a_hard_link(tar: tarfile.TarFile, canary: Path) -> None:
    tar.addfile(member("stolen", tarfile.LNKTYPE, linkname=f"../../../../../..{canary}"))
    tar.addfile(member("stolen", size=4), io.BytesIO(b"evil"))


def makes_a_device(tar: tarfile.TarFile, _: Path) -> None:
    tar.addfile(member("disk", tarfile.BLKTYPE, devmajor=7, devminor=0))


def replaces_etc(tar: tarfile.TarFile, canary: Path) -> None:
    tar.addfile(member("etc", tarfile.SYMTYPE, linkname=str(canary.parent)))


@pytest.mark.parametrize(
    "hostile",
    [
        climbs, is_absolute, goes_through_a_link, goes_through_a_relative_link, is_a_hard_link,
        makes_a_device, replaces_etc,
    ],
)  # fmt: skip
def test_nothing_is_written_outside(images: Path, tmp_path: Path, hostile: Hostile) -> None:
    """The canary is a file that the test itself, root on this machine, could write to."""
    canary = tmp_path / "canary"
    canary.write_text("unharmed")
    before = canary.stat()
    with tarfile.open(tmp_path / "hostile.tar", "w") as tar:
        tar.addfile(member("bin/sh", size=2, mode=0o755), io.BytesIO(b"#!"))
        hostile(tar, canary)
    try:
        take(images, tmp_path / "hostile.tar")
    except AgentError:
        assert list(images.iterdir()) == []
    else:
        assert not [p for p in (images / "mine").rglob("*") if p.is_block_device() or p.is_char_device()]
    assert (canary.read_text(), canary.stat().st_nlink) == ("unharmed", before.st_nlink)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["canary", "hostile.tar"]


def test_a_link_in_the_place_of_a_file_of_ours_is_replaced(images: Path, root: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("secret-build")
    with tarfile.open(make_tarball(root, tmp_path / "mine.tar"), "a") as tar:
        for name in ("etc/mags-image", "etc/hosts", "etc/resolv.conf"):
            tar.addfile(member(name, tarfile.SYMTYPE, linkname=str(canary)))
        tar.addfile(member("etc/hostname", tarfile.DIRTYPE))
        tar.addfile(member("etc/hostname/deep", size=1), io.BytesIO(b"x"))
    build = take(images, tmp_path / "mine.tar")
    assert builds.build_of(images / "mine") == build
    assert not (images / "mine/etc/hosts").is_symlink()
    assert (images / "mine/etc/hostname").read_text() == "sandbox\n"
    assert canary.read_text() == "secret-build"


def test_a_build_file_that_leads_outside_says_nothing(images: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret-build")
    for number, target in enumerate(("etc", "etc/mags-image")):
        tree = images / f"t{number}"
        btrfs.subvolume_create(tree)
        if target != "etc":
            (tree / "etc").mkdir()
        (tree / target).symlink_to(tmp_path / "secret" if target != "etc" else tmp_path)
        (tmp_path / "mags-image").write_text("secret-build")
        assert builds.build_of(tree) == ""


def test_what_is_too_large_is_refused(images: Path, root: Path, tmp_path: Path) -> None:
    """A few kilobytes that would fill the disk."""
    bomb = tmp_path / "bomb"
    with tarfile.open(tmp_path / "bomb", "w:gz") as tar:
        tar.addfile(member("zeros", size=64 << 20), io.BytesIO(bytes(64 << 20)))
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(AgentError, match="MAGS_AGENT_IMAGE_LIMIT_GB"):
        take(images, bomb, limit_bytes=16 << 20)
    assert list(images.iterdir()) == []


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"etc/passwd": b""}, "has no bin/sh"),
        ({"manifest.json": b"[]", "layer.tar": b""}, "docker export"),
        ({"oci-layout": b"{}", "index.json": b"{}"}, "oci-archive"),
    ],
)
def test_what_is_no_root_file_system_is_said(
    images: Path, tmp_path: Path, files: dict[str, bytes], words: str
) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name, body in files.items():
            tar.addfile(member(name, size=len(body)), io.BytesIO(body))
    with pytest.raises(AgentError, match=words):
        take(images, tmp_path / "x.tar")
    assert list(images.iterdir()) == []


def test_what_is_no_tarball_is_said(images: Path, root: Path, tmp_path: Path) -> None:
    whole = make_tarball(root, tmp_path / "whole.tar.gz", "w:gz").read_bytes()
    for name, body in (
        ("cut", whole[: len(whole) // 2]),
        ("noise", os.urandom(10_000)),
        ("xz", b"\xfd7zXZ\0\0\0"),
        ("json", json.dumps({"a": 1}).encode()),
    ):
        (tmp_path / name).write_bytes(body)
        with pytest.raises(AgentError):
            take(images, tmp_path / name)
    with pytest.raises(AgentError, match="No such file"):
        take(images, tmp_path / "nowhere")
    assert list(images.iterdir()) == []


@pytest.mark.parametrize("name", ["", "../x", "Up", "objects", "standard", "a@b", "-x"])
def test_names_that_no_import_may_have(images: Path, root: Path, tmp_path: Path, name: str) -> None:
    tarball = make_tarball(root, tmp_path / "mine.tar")
    with pytest.raises(AgentError):
        take(images, tarball, name)
    assert list(images.iterdir()) == []
