"""The floor and the rival, run beside Mags in the same minutes: bare `crun run` and `docker run`.

`crun run` starts the same image with no engine, network or supervision around it: nothing that
uses crun can be faster. `docker run` is what people would type instead.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hostagent.linux import mount

UNIFIED = Path("/sys/fs/cgroup/unified")


class CrunFloor:
    """`crun run` of a read-only root file system."""

    def __init__(self, rootfs: Path, bundle: Path) -> None:
        self.bundle = bundle
        spec = subprocess.run(["crun", "spec"], cwd=bundle, check=False)
        if spec.returncode:
            raise RuntimeError("`crun spec` failed: is crun installed?")
        config = json.loads((bundle / "config.json").read_text())
        config["process"].update(terminal=False, args=["/bin/sh", "-lc", "echo hi"])
        config["root"] = {"path": str(rootfs), "readonly": True}
        (bundle / "config.json").write_text(json.dumps(config))

    def run_ms(self, number: int) -> float:
        name = f"bench-{os.getpid()}-{number}"
        arguments = ["crun", "run", "-b", str(self.bundle), name]
        begun = time.perf_counter()
        done = subprocess.run(arguments, capture_output=True, check=False, timeout=60)
        took = (time.perf_counter() - begun) * 1000
        if done.returncode or done.stdout != b"hi\n":
            raise RuntimeError(f"crun run failed: {done.stderr.decode()[:300]}")
        return took


class DockerRival:
    """`docker run --rm` of the same files, imported as an image."""

    TAG = "mags-bench:standard"

    def __init__(self, socket: Path) -> None:
        self.command = ["docker", "-H", f"unix://{socket}"]

    def load(self, rootfs: Path) -> None:
        with subprocess.Popen(["tar", "-C", str(rootfs), "-c", "."], stdout=subprocess.PIPE) as tar:
            subprocess.run(
                [*self.command, "import", "-", self.TAG], stdin=tar.stdout, check=True, capture_output=True
            )

    def run_ms(self, _number: int) -> float:
        arguments = [*self.command, "run", "--rm", "--network", "none", self.TAG, "/bin/sh", "-lc", "echo hi"]
        begun = time.perf_counter()
        done = subprocess.run(arguments, capture_output=True, check=False, timeout=60)
        took = (time.perf_counter() - begun) * 1000
        if done.returncode or done.stdout != b"hi\n":
            raise RuntimeError(f"docker run failed: {done.stderr.decode()[:300]}")
        return took


def hide_unified_cgroups() -> None:
    """For this process and its children: crun refuses hybrid hosts while it sees the v2 tree."""
    if UNIFIED.is_dir():
        mount.unshare(mount.CLONE_NEWNS)
        mount.mount("none", Path("/"), "", mount.MS_REC | mount.MS_SLAVE)
        mount.umount2(UNIFIED, mount.MNT_DETACH)


@contextmanager
def crun_floor(rootfs: Path) -> Iterator[CrunFloor]:
    with tempfile.TemporaryDirectory(prefix="bench-crun-") as bundle:
        yield CrunFloor(rootfs, Path(bundle))


@contextmanager
def docker_rival(rootfs: Path) -> Iterator[DockerRival | None]:
    """A docker daemon of our own, gone afterwards; None where docker.io is not installed."""
    if not shutil.which("dockerd"):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="bench-docker-") as place:
        home = Path(place)
        socket = home / "docker.sock"
        with (home / "log").open("wb") as log:
            daemon = subprocess.Popen(
                ["dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none",
                 f"--data-root={home / 'data'}", f"--exec-root={home / 'exec'}",
                 f"--pidfile={home / 'pid'}", f"--host=unix://{socket}"],
                stdout=log, stderr=log,
            )  # fmt: skip
        try:
            rival = DockerRival(socket)
            _wait_ready(rival, daemon, home / "log")
            rival.load(rootfs)
            yield rival
        finally:
            daemon.terminate()
            daemon.wait(timeout=30)
            for group in Path("/sys/fs/cgroup").glob("*/docker"):  # it leaves them behind, empty
                with suppress(OSError):
                    group.rmdir()


def _wait_ready(rival: DockerRival, daemon: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 30
    while subprocess.run([*rival.command, "info"], capture_output=True, check=False).returncode:
        if daemon.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"dockerd did not start: {log.read_text()[-500:]}")
        time.sleep(0.2)
