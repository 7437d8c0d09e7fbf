"""`make down` and `make clean`: stop everything and look whether anything is left."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from deploy.agents import Agent
from deploy.errors import SetupError
from deploy.layout import ROOT, Layout
from deploy.processes import PYTHON, environment_for_command
from deploy.progress import step
from deploy.stack import Stack
from deploy.supervise import end_leftovers, leftovers
from deploy.up import remove_s3_sockets

REMAINS_LIMIT_S = 15.0
CACHE = "cache"  # below var/: what `hostagent image build` keeps


def down(layout: Layout) -> None:
    """Stop all processes, undo everything the agents made on this machine, and check."""
    if not layout.run.exists():
        return
    stack = Stack.load(layout)
    with step("stopping the processes"):
        stack.supervisor.shutdown()
        end_leftovers(layout, stack.processes)
    with step("removing sandboxes, mounts and networks"):
        for agent in stack.agents:
            undo(stack, agent)
    remove_s3_sockets(layout)
    refuse_remains(lambda: remaining(stack))


def refuse_remains(find: Callable[[], list[str]]) -> None:
    """What the mount namespace of somebody else's new process holds, goes in a moment."""
    deadline = time.monotonic() + REMAINS_LIMIT_S
    while (remains := find()) and time.monotonic() < deadline:
        time.sleep(0.1)
    if remains:
        raise SetupError(
            "this is still there:\n    " + "\n    ".join(remains), "run `make down` again, or tell us"
        )


def undo(stack: Stack, agent: Agent) -> None:
    """Remove everything that an agent made on this machine."""
    command = [PYTHON, "-m", "hostagent", "down"]
    environment = environment_for_command(stack.layout, agent.environment_started_with())
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupError(f"`hostagent down` ended with {done.returncode}", done.stdout + done.stderr)


def remaining(stack: Stack) -> list[str]:
    """Everything of this stack that is still on the machine."""
    return [
        *(f"process {pid}" for pid in leftovers(stack.layout, stack.processes)),
        *(line for agent in stack.agents for line in remaining_of(agent)),
    ]


def remaining_of(agent: Agent) -> list[str]:
    """Everything that an agent made and that is still on the machine."""
    return [
        *(f"mount {path}" for path in mounts_below(agent.state)),
        *(f"loop device {name}" for name in loop_devices(agent.state)),
        *(f"network namespace {name}" for name in _listed(["ip", "netns", "list"], agent.instance)),
        *(f"network interface {name}" for name in _listed(["ip", "-brief", "link"], agent.instance)),
        *(f"nft table {name}" for name in nft_tables(agent.instance)),
        *(f"cgroup {path}" for path in cgroups(agent.instance)),
    ]


def mounts_below(directory: Path) -> list[str]:
    """Mount points in our mount namespace at or below a directory."""
    points = [
        line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    ]
    return [point for point in points if Path(point).is_relative_to(directory)]


def loop_devices(directory: Path) -> list[str]:
    output = subprocess.run(
        ["losetup", "--json", "--list", "--output=NAME,BACK-FILE"], capture_output=True, text=True, check=True
    )
    devices = json.loads(output.stdout or '{"loopdevices": []}')["loopdevices"]
    return [
        device["name"] for device in devices if Path(device["back-file"] or "/").is_relative_to(directory)
    ]


def nft_tables(instance: str) -> list[str]:
    output = subprocess.run(
        ["nft", "--json", "list", "tables"], capture_output=True, text=True, check=False
    ).stdout
    tables = [
        item["table"]["name"]
        for item in json.loads(output or '{"nftables": []}')["nftables"]
        if "table" in item
    ]
    return [name for name in tables if is_of(instance, name)]


def cgroups(instance: str) -> list[str]:
    root = Path("/sys/fs/cgroup")
    return [
        str(path)
        for pattern in ("*", "*/*")
        for path in root.glob(pattern)
        if path.is_dir() and is_of(instance, path.name)
    ]


def _listed(command: list[str], instance: str) -> list[str]:
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [words[0] for line in output.splitlines() if (words := line.split()) and is_of(instance, words[0])]


def is_of(instance: str, name: str) -> bool:
    """Whether a kernel name belongs to an instance: `mags`, `mags-…`, `mags12`; not `magstest`."""
    rest = name.removeprefix(instance)
    return name.startswith(instance) and not rest[:1].isalpha()


def clean(layout: Layout) -> None:
    """Remove all state but the cache of built images, which is none.

    Refuses while anything is mounted below it: deleting would go through the mount.
    """
    down(layout)
    mounted = mounts_below(layout.var)
    if mounted:
        raise SetupError(f"still mounted: {' '.join(mounted)}", "unmount it first; nothing was deleted")
    with step(f"removing what is in {layout.var}"):
        for path in [*layout.var.glob("*"), layout.agent_state]:
            if path.is_dir() and path != layout.var / CACHE:
                shutil.rmtree(path)
            elif path.is_file():
                path.unlink()
