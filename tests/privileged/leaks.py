"""What an agent instance has on the host. Asked of the kernel, not of the driver."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from pathlib import Path

from hostagent.config import Config
from hostagent.linux import mount

FOREIGN_S = 60.0  # an image build elsewhere on this machine holds copies of all mounts of its beginning


async def no_leaks(config: Config) -> None:
    """Fail with a list of what is left. Waits where only a foreign mount namespace holds the loop device."""
    deadline = time.monotonic() + FOREIGN_S
    while left := leaks(config):
        assert all(line.startswith("loop device") for line in left), left
        assert time.monotonic() < deadline, left
        await asyncio.sleep(0.2)


def leaks(config: Config) -> list[str]:
    """Everything that is left after `close(everything=True)`; nothing is as it should be."""
    state_dir = str(config.state_dir.resolve())
    run_dir = f"/run/mags/{config.instance}"
    found = [
        *_lines("mount", Path("/proc/self/mountinfo").read_text(), f" {state_dir}/", f" {run_dir}/"),
        *_lines(
            "loop device", _output("losetup", "--list", "--noheadings", "-O", "NAME,BACK-FILE"), state_dir
        ),
        *_lines("link", _output("ip", "-oneline", "link"), f" {config.instance}-"),
        *_lines("netns", _output("ip", "netns"), f"{config.instance}-"),
        *_lines("nft table", _output("nft", "list", "tables"), f" {config.instance}"),
        *(f"cgroup {path}" for root in _hierarchies() if (path := root / config.instance).exists()),
        *_below_cgroups(config.instance),
        *(f"directory {path}" for path in (Path(run_dir),) if path.exists()),
    ]
    return [*found, *_processes(state_dir, run_dir)]


def _below_cgroups(instance: str) -> list[str]:
    """What lies hidden under the mount points of cgroup hierarchies."""
    fd = mount.open_tree_clone(Path("/sys/fs/cgroup"))
    try:
        return [f"hidden {path}" for path in Path(f"/proc/self/fd/{fd}").glob(f"*/{instance}")]
    finally:
        os.close(fd)


def _hierarchies() -> list[Path]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [Path(line.split()[4]) for line in lines if " - cgroup" in line]


def _processes(state_dir: str, run_dir: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            argv = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        # Launchers, shims and runtimes all name a path of their agent.
        if any(word.startswith((f"{state_dir}/fs", f"--root={run_dir}/", f"{run_dir}/")) for word in argv):
            found.append(f"process {path.parent.name} {' '.join(argv)}")
    return found


def _lines(kind: str, text: str, *marks: str) -> list[str]:
    return [f"{kind}: {line}" for line in text.splitlines() if any(mark in line for mark in marks)]


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
