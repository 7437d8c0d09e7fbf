"""The agent killed at every step: its successor adopts what runs, and removes what was half built."""

from __future__ import annotations

import asyncio
import signal

import pytest

from hostagent.config import Config
from hostagent.drivers.base import Phase
from hostagent.drivers.oci import OciDriver
from hostagent.errors import DriverError, SandboxLost
from tests.privileged.doomed import run_doomed_agent
from tests.privileged.leaks import no_leaks
from tests.privileged.sandbox import Output, Sandboxes, make_spec, new_id

# Where the agent dies: before or after a call that changes something on the host.
BEFORE_START = [
    ("before", "hostagent.drivers.bundle.Bundle.write_claim"),
    ("after", "hostagent.drivers.bundle.Bundle.write_claim"),
    ("after", "hostagent.drivers.bundle.Bundle.make_subvolumes"),
    ("after", "hostagent.drivers.bundle.Bundle.write"),
    ("after", "hostagent.linux.launch.Launch.root"),
    ("after", "hostagent.linux.launch.Launch.spawn"),
    ("after", "hostagent.drivers.shim.create"),
    ("after", "hostagent.linux.launch.Launch.detach"),
    ("after", "hostagent.drivers.bundle.Bundle.mark_created"),
]
AFTER_START = [
    ("after", "hostagent.drivers.bundle.Bundle.mark_started"),
    ("after", "hostagent.drivers.oci.OciDriver.start"),
]
WHILE_DESTROYING = [
    ("before", "hostagent.drivers.oci.OciDriver._destroy"),
    ("after", "hostagent.drivers.oci.OciDriver._kill_all"),
    ("after", "hostagent.linux.cgroup.remove"),
    ("before", "hostagent.drivers.bundle.Bundle.remove"),
    ("after", "hostagent.drivers.bundle.Bundle.remove"),
    ("before", "hostagent.network.pool.NetworkPool.give"),
    ("after", "hostagent.network.pool.NetworkPool.give"),
]


@pytest.mark.parametrize(("when", "where"), [*BEFORE_START, *AFTER_START, *WHILE_DESTROYING])
async def test_successor_removes_everything(config: Config, when: str, where: str) -> None:
    sandbox_id = new_id()
    run_doomed_agent(config, sandbox_id, when, where)
    driver = OciDriver(config)
    await driver.open()
    try:
        found = await driver.find()
        assert [f.sandbox_id for f in found] in ([sandbox_id], [])
        if (when, where) in BEFORE_START:
            assert all(f.phase in (Phase.BUILDING, Phase.CREATED) for f in found)
        for sandbox in found:
            await driver.destroy(sandbox.sandbox_id)
        assert await driver.find() == []
        assert (await Sandboxes(driver).run("exit 3")).exit.exit_code == 3
        assert [path.name for path in driver.host.fs.sandboxes.iterdir()] == []
        assert [path.name for path in driver.host.fs.exits.iterdir()] == []
    finally:
        await driver.close(everything=True)
    await no_leaks(config)


async def test_running_sandbox_is_adopted_with_all_its_output(config: Config) -> None:
    sandbox_id = new_id()
    script = "trap 'echo bye; exit 9' TERM; echo hello; while :; do sleep 0.05; done"
    run_doomed_agent(config, sandbox_id, "after", "hostagent.drivers.oci.OciDriver.start", script)
    driver = OciDriver(config)
    await driver.open()
    try:
        assert [(f.sandbox_id, f.phase) for f in await driver.find()] == [(sandbox_id, Phase.RUNNING)]
        await Sandboxes(driver).says(sandbox_id, b"hello")
        others = await asyncio.gather(
            *(Sandboxes(driver).run("exit 1") for _ in range(4))
        )  # slots do not collide
        await driver.signal(sandbox_id, signal.SIGTERM)
        assert (await driver.wait(sandbox_id)).exit_code == 9
        assert Output.read(driver.spool_path(sandbox_id)).stdout == b"hello\nbye\n"
        assert [run.exit.exit_code for run in others] == [1] * 4
        await driver.destroy(sandbox_id)
    finally:
        await driver.close(everything=True)
    await no_leaks(config)


async def test_start_that_the_agent_noted_but_never_made(config: Config) -> None:
    sandbox_id = new_id()
    run_doomed_agent(
        config, sandbox_id, "after", "hostagent.drivers.bundle.Bundle.mark_started", "echo once; exit 4"
    )
    driver = OciDriver(config)
    await driver.open()
    try:
        assert [f.phase for f in await driver.find()] == [Phase.CREATED]
        await driver.start(sandbox_id)
        with pytest.raises(DriverError, match="started before"):
            await driver.start(sandbox_id)
        assert (await driver.wait(sandbox_id)).exit_code == 4
        assert Output.read(driver.spool_path(sandbox_id)).stdout == b"once\n"
        await driver.destroy(sandbox_id)
    finally:
        await driver.close(everything=True)
    await no_leaks(config)


async def test_start_whose_gate_is_still_there(config: Config) -> None:
    """Killed after the byte that lets the script run, before the gate was taken away."""
    sandbox_id = new_id()
    run_doomed_agent(
        config, sandbox_id, "after", "hostagent.drivers.shim.knock", "echo once; sleep 5; exit 4"
    )
    driver = OciDriver(config)
    await driver.open()
    try:
        assert driver.host.engine.gate(sandbox_id).exists()
        await Sandboxes(driver).says(sandbox_id, b"once")
        assert [f.phase for f in await driver.find()] == [Phase.RUNNING]
        with pytest.raises(DriverError, match="started before"):
            await driver.start(sandbox_id)
        assert (await driver.wait(sandbox_id)).exit_code == 4
        assert Output.read(driver.spool_path(sandbox_id)).stdout == b"once\n"
        await driver.destroy(sandbox_id)
    finally:
        await driver.close(everything=True)
    await no_leaks(config)


async def test_script_that_ended_while_no_agent_lived(config: Config) -> None:
    sandbox_id = new_id()
    run_doomed_agent(config, sandbox_id, "after", "hostagent.drivers.oci.OciDriver.wait", "echo late; exit 4")
    driver = OciDriver(config)
    await driver.open()
    try:
        assert [f.phase for f in await driver.find()] == [Phase.EXITED]
        assert (await driver.wait(sandbox_id)).exit_code == 4
        assert Output.read(driver.spool_path(sandbox_id)).stdout == b"late\n"
        await driver.destroy(sandbox_id)
    finally:
        await driver.close(everything=True)
    await no_leaks(config)


async def test_everything_killed_is_a_loss(config: Config) -> None:
    """As after a power cut, but for the kernel's memory."""
    sandbox_id = new_id()
    run_doomed_agent(config, sandbox_id, "after", "hostagent.drivers.oci.OciDriver.start")
    driver = OciDriver(config)
    await driver.open()
    try:
        driver._kill_all(sandbox_id)
        assert [f.phase for f in await driver.find()] == [Phase.RUNNING]
        with pytest.raises(SandboxLost):
            await driver.wait(sandbox_id)
        await driver.destroy(sandbox_id)
    finally:
        await driver.close(everything=True)
    await no_leaks(config)


async def test_close_without_everything_leaves_sandboxes_running(config: Config) -> None:
    spec = make_spec("trap 'exit 8' TERM; echo up; while :; do sleep 0.05; done")
    first, second = OciDriver(config), OciDriver(config)
    await first.open()
    await first.create(spec)
    await first.start(spec.sandbox_id)
    await Sandboxes(first).says(spec.sandbox_id, b"up")
    await first.close(everything=False)
    await second.open()
    try:
        await second.signal(spec.sandbox_id, signal.SIGTERM)
        assert (await second.wait(spec.sandbox_id)).exit_code == 8
        await second.destroy(spec.sandbox_id)
    finally:
        await second.close(everything=True)
    await no_leaks(config)
