"""Images: what is in the standard one, and that only whole ones are ever seen."""

from __future__ import annotations

import fcntl
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard

from hostagent import images
from hostagent.config import Config
from hostagent.drivers.statefs import close_state, open_state
from hostagent.errors import AgentError
from hostagent.images.mmdebstrap import SUFFIX, Watcher, _command, build, cached
from hostagent.images.recipe import BUILD_FILE, RECIPES, Recipe
from hostagent.images.store import installed_build
from hostagent.linux import apart, btrfs
from tests.privileged.conftest import ROOT, make_config

TINY = Recipe("tiny", ("iputils-ping",))


@pytest.fixture
def standard(config: Config) -> Path:
    return images.ensure(config, "standard", print)


@pytest.fixture
def empty_state(tmp_path: Path) -> Iterator[Path]:
    """A state file system without images; its directory of them."""
    config = make_config(tmp_path, state_image_gb=4)
    yield open_state(config).images
    close_state(config)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a build of the recipe leaves in the cache, with little in it."""
    cache = tmp_path_factory.mktemp("cache")
    name = f"tiny-{TINY.digest}-20261123000000"
    root = cache / "root"
    (root / BUILD_FILE).parent.mkdir(parents=True)
    (root / BUILD_FILE).write_text(f"{name}\n")
    (root / "blob").write_bytes(os.urandom(1 << 20))
    subprocess.run(["tar", "--create", "--file", cache / "tar", "--directory", root, "."], check=True)
    packed = zstandard.ZstdCompressor(write_checksum=True).compress((cache / "tar").read_bytes())
    tarball = cache / f"{name}{SUFFIX}"
    tarball.write_bytes(packed)
    return tarball


def test_standard_image_has_what_it_promises(standard: Path) -> None:
    for program in ("python3", "pip", "git", "curl", "node", "npm", "sshd", "ping", "ps", "unzip"):
        found = [
            directory for directory in ("usr/bin", "usr/sbin") if (standard / directory / program).exists()
        ]
        assert found, f"{program} is missing"
    assert (standard / "etc/ssl/certs/ca-certificates.crt").stat().st_size > 100_000
    assert (standard / "usr/lib/python3/dist-packages/pip").is_dir()
    assert "break-system-packages = true" in (standard / "etc/pip.conf").read_text()
    assert not list((standard / "usr/lib").glob("python3*/EXTERNALLY-MANAGED"))


@pytest.mark.parametrize(
    ("user", "path", "prompt"), [(0, "/usr/local/sbin", "# "), (1000, "/usr/local/bin", "$ ")]
)
def test_login_shells_know_who_they_are_for_without_asking(
    standard: Path, user: int, path: str, prompt: str
) -> None:
    """Not even `id`: the file is read by each script and command."""
    shell = ["/bin/sh", "-c", 'PS1=1 PATH=; . /etc/profile; echo $PATH; echo "$PS1."']
    command = ["chroot", f"--userspec={user}:{user}", str(standard), *shell]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[0].startswith(f"{path}:")
    assert said.stdout.splitlines()[1] == f"{prompt}."
    assert said.stderr == ""


def test_standard_image_identifies_no_machine(standard: Path) -> None:
    assert list((standard / "etc/ssh").glob("ssh_host_*")) == []
    for name in ("etc/machine-id", "etc/resolv.conf"):
        assert (standard / name).read_bytes() == b""
    assert (standard / "etc/hostname").read_text() == "sandbox\n"
    assert list((standard / "dev").iterdir()) == []
    lines = (standard / "etc/apt/sources.list").read_text().splitlines()
    assert len(lines) == 3
    assert all("debian-archive-keyring.gpg" in line for line in lines)


def test_standard_image_is_read_only_with_plain_owners(standard: Path) -> None:
    assert btrfs.is_subvolume(standard)
    with pytest.raises(OSError, match="Read-only"):
        (standard / "probe").touch()
    assert {(standard / name).stat().st_uid for name in ("etc", "root", "usr/bin/ping")} == {0}
    assert "security.capability" not in os.listxattr(standard / "usr/bin/ping")


def test_installed_image_is_not_installed_again(config: Config, standard: Path) -> None:
    before = btrfs.subvolume_id(standard)
    began = time.monotonic()
    images.ensure(config, "standard", print)
    assert time.monotonic() - began < 1
    assert btrfs.subvolume_id(standard) == before


def test_unknown_image_says_which_there_are(config: Config) -> None:
    with pytest.raises(AgentError, match="standard"):
        images.ensure(config, "windows", print)


def test_newer_build_takes_the_place_of_an_older(
    empty_state: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, "tiny", TINY)
    newer = tiny.with_name(f"tiny-{TINY.digest}-20991231000000{SUFFIX}")
    newer.symlink_to(tiny)
    try:
        first = btrfs.subvolume_id(images.install(empty_state, "tiny", tiny))
        assert installed_build(empty_state, "tiny") == tiny.name.removesuffix(SUFFIX)
        assert images.listing(empty_state) == ["tiny"]
        assert btrfs.subvolume_id(images.install(empty_state, "tiny", newer)) != first
        assert [path.name for path in empty_state.iterdir()] == ["tiny"]
        assert list(empty_state.with_name("images.new").iterdir()) == []
    finally:
        newer.unlink()


def test_damaged_tarball_installs_nothing(empty_state: Path, tiny: Path, tmp_path: Path) -> None:
    data = bytearray(tiny.read_bytes())
    data[len(data) // 2] ^= 0xFF
    damaged = tmp_path / "tiny-damaged.tar.zst"
    for content in (bytes(data), bytes(data[: len(data) // 2])):
        damaged.write_bytes(content)
        with pytest.raises(AgentError, match="cannot be unpacked"):
            images.install(empty_state, "tiny", damaged)
        assert list(empty_state.iterdir()) == []
        assert list(empty_state.with_name("images.new").iterdir()) == []


def test_finished_build_is_used_again(tiny: Path) -> None:
    assert build(tiny.parent, TINY, print) == tiny


def test_second_builder_waits_for_the_first(tiny: Path) -> None:
    said: queue.Queue[str] = queue.Queue()
    with (tiny.parent / ".lock").open("w") as lock, ThreadPoolExecutor(1) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = pool.submit(build, tiny.parent, TINY, said.put)
        assert said.get(timeout=5) == "waiting for another build of an image"
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert second.result(timeout=5) == tiny


def test_progress_counts_packages_of_all_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hostagent.images.mmdebstrap.REPORT_S", 0.0)
    said: list[str] = []
    watcher = Watcher(said.append)
    for line in (
        "I: downloading packages with apt...",
        "0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.",
        "Get:1 http://mirror.example bookworm/main amd64 a [1 B]",
        "Selecting previously unselected package a.",
        "Unpacking a (1) ...",
        "I: installing remaining packages inside the chroot...",
        "0 upgraded, 3 newly installed, 0 to remove and 0 not upgraded.",
        "Unpacking b (1) ...",
    ):
        watcher.read(line)
    assert [line[8:] for line in said] == [
        "downloading the base system",
        "packages downloaded: 1 of 2",
        "packages unpacked: 1 of 2",
        "installing packages",
        "packages unpacked: 2 of 5",
    ]


def test_killed_build_leaves_nothing_that_counts(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from hostagent.images.mmdebstrap import build;"
        " from hostagent.images.recipe import Recipe;"
        " build(Path(sys.argv[1]), Recipe('tiny', ('iputils-ping',)), lambda line: print(line, flush=True))"
    )
    builder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert builder.stdout is not None
    with builder.stdout as said:
        next(line for line in said if "unpacking" in line)
        builder.send_signal(signal.SIGKILL)
    builder.wait()
    _until_nobody_works_in(tmp_path)
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert cached(tmp_path, TINY) is None


def test_build_holds_no_agents_file_system(empty_state: Path, tmp_path: Path) -> None:
    root = str(empty_state.parent)
    program = ["unshare", "--mount", sys.executable, "-m", "hostagent.linux.apart"]
    shown = ["cat", "/proc/self/mountinfo"]
    assert root in subprocess.check_output(["unshare", "--mount", *shown], text=True)
    assert root not in subprocess.check_output([*program, *shown], text=True, cwd=ROOT)
    assert "hostagent.linux.apart" in _command(TINY, "tiny", tmp_path)


def test_work_in_a_namespace_holds_only_the_file_system_it_is_in(empty_state: Path, tmp_path: Path) -> None:
    root = empty_state.parent

    def seen_from(directory: Path) -> bool:
        apart.enter(directory)
        return f" {root} " in Path("/proc/thread-self/mountinfo").read_text()

    with ThreadPoolExecutor(1) as inside, ThreadPoolExecutor(1) as elsewhere:
        assert inside.submit(seen_from, empty_state).result()
        assert not elsewhere.submit(seen_from, tmp_path).result()
    assert root.is_mount()


def _until_nobody_works_in(directory: Path) -> None:
    deadline = time.monotonic() + 5
    mark = str(directory).encode()
    while True:
        commands = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                commands.append(path.read_bytes())
            except OSError:
                continue
        if not any(b"TMPDIR=" + mark in command for command in commands):
            return
        assert time.monotonic() < deadline, "the build goes on"
        time.sleep(0.01)
