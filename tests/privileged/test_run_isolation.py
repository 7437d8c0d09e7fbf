"""What a run in a held sandbox can do: no more than a script in a sandbox of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hostagent.drivers import spec
from hostagent.drivers.rungroup import RunGroup
from hostagent.errors import DriverError
from hostagent.linux import cgroup
from tests.privileged.sandbox import Held, Sandboxes

OWN = {"commands", "uid_map", "namespaces", "mounts"}  # of every sandbox


async def test_surface_is_that_of_a_script(sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGS_CANARY", "the host's environment")
    alone = await sandboxes.probe("surface", memory_mb=256)
    async with sandboxes.held(memory_mb=256) as held:
        run = await held.probe("surface")
        again = await held.probe("surface")
    assert _shared(run) == _shared(alone)
    assert run["status"]["Seccomp"] == "2"
    assert run["status"]["NoNewPrivs"] == "1"
    assert run["fds"][0] == "/dev/null"
    assert len(run["fds"]) == 3
    assert len(run["commands"]) == 4  # two that hold the sandbox, the run's init and the probe
    assert run["namespaces"] == again["namespaces"]
    assert not set(run["namespaces"].values()) & {
        os.readlink(f"/proc/self/ns/{name}") for name in ("pid", "mnt", "user", "net", "cgroup", "ipc", "uts")
    }


def _shared(surface: dict[str, Any]) -> dict[str, Any]:
    pipes = [link.partition(":")[0] for link in surface["fds"]]
    return {key: value for key, value in surface.items() if key not in OWN} | {"fds": pipes}


async def test_system_calls_are_those_of_a_script(sandboxes: Sandboxes) -> None:
    alone = await sandboxes.probe("syscalls")
    async with sandboxes.held() as held:
        assert await held.probe("syscalls") == alone


async def test_probes_find_what_a_weak_sandbox_lets_its_runs_do(
    sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: filter and devices come from the container, capabilities from the run."""

    def weaken(config: dict[str, Any]) -> None:
        del config["linux"]["seccomp"], config["annotations"]
        config["linux"]["maskedPaths"] = []

    monkeypatch.setattr(spec, "CAPABILITIES", [*spec.CAPABILITIES, "CAP_SYS_PTRACE"])
    sandboxes.driver._edit_spec = weaken
    async with sandboxes.held() as held:
        surface, calls = await held.probe("surface"), await held.probe("syscalls")
    assert surface["status"]["Seccomp"] == "0"
    assert int(surface["status"]["CapEff"], 16) >> 19 & 1
    assert "/proc/interrupts" in surface["readable_proc"]
    assert calls["unshare user"] == calls["keyctl"] == "ok"


async def test_no_process_leaves_its_runs_group(sandboxes: Sandboxes) -> None:
    script = (
        "setsid -f sleep 1000; (setsid sleep 1000 &) ; nohup sleep 1000 & "
        "mkdir -p /tmp/c; mount -t cgroup2 none /tmp/c; ls -A /sys; echo up; exec sleep 1000"
    )
    async with sandboxes.held() as held, held.started(script) as key:
        output = await held.says(key, b"up")
        assert output.stdout == b"up\n"
        assert b"permission denied" in output.stderr
        group = _group(held, key)
        found = cgroup.pids(held.driver.host.groups, group.name)
        assert len(found) >= 5  # its init and four sleepers
        assert {cgroup.of_process(held.driver.host.groups, pid) for pid in found} == {group.name}
        everything = cgroup.pids(held.driver.host.groups, held.driver.host.group(held.sandbox_id))
        assert len(everything - found) == 2


def _group(held: Held, key: str) -> RunGroup:
    return RunGroup(held.driver.host, *key.split("."))


async def test_run_outside_of_its_group_is_found_out(sandboxes: Sandboxes) -> None:
    """Without the group crun 1.8.1 enters none on version 1: the process would have no limits."""
    async with sandboxes.held() as held:
        groups, spec_ = held.driver.host.groups, held.spec("sleep 1000")
        await held.runs.create(spec_)
        cgroup.remove(groups, _group(held, spec_.key).name)
        with pytest.raises(DriverError, match=r"into its cgroup|exec failed"):
            await held.runs.start(spec_.key)
        assert cgroup.pids(groups, _group(held, spec_.key).shim, "cpu") == set()
        await held.runs.destroy(spec_.key)
        assert (await held.run("pgrep sleep")).exit.exit_code == 1


async def test_shim_of_a_run_holds_nothing_of_the_agent(sandboxes: Sandboxes) -> None:
    async with sandboxes.held() as held, held.started("sleep 60") as key:
        (shim,) = cgroup.pids(held.driver.host.groups, _group(held, key).shim, "cpu")
        links = [os.readlink(path) for path in Path(f"/proc/{shim}/fd").iterdir()]
        assert [link for link in links if link.endswith("/gate")] == []
        assert sum(link.endswith("/answer") for link in links) == 1
        assert sum(link.startswith("pipe:") for link in links) == 2  # the script's output
        assert os.getsid(shim) == shim
        assert int(Path(f"/proc/{shim}/oom_score_adj").read_text()) == 0
