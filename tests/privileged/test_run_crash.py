"""The agent killed at every step of a run: its successor knows what has started, and nothing starts twice."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hostagent.config import Config
from hostagent.drivers.base import Found, Phase
from hostagent.drivers.oci import OciDriver
from hostagent.errors import DriverError, SandboxLost
from hostagent.linux import cgroup
from tests.privileged.doomed import run_doomed_agent
from tests.privileged.leaks import no_leaks
from tests.privileged.sandbox import Held, new_id

SCRIPT = "echo x >> /root/starts; echo up; sleep 0.3; exit 5"
NOT_STARTED = [
    ("before", "hostagent.drivers.runbundle.RunBundle.write"),
    ("after", "hostagent.drivers.runbundle.RunBundle.write"),
    ("after", "hostagent.drivers.rungroup.RunGroup.make"),
    ("after", "hostagent.linux.launch.Launch._send"),
    ("after", "hostagent.drivers.shim.prepare"),
    ("after", "hostagent.drivers.runbundle.RunBundle.mark_created"),
    ("after", "hostagent.drivers.runbundle.RunBundle.mark_started"),
]
STARTED = [
    ("after", "hostagent.drivers.shim.knock"),
    ("after", "hostagent.drivers.shim.read_pid"),
    ("after", "hostagent.drivers.runs.OciRuns.start"),
]
ENDED = [
    ("after", "hostagent.drivers.runs.OciRuns.wait"),
    ("after", "hostagent.drivers.rungroup.RunGroup.remove"),
    ("after", "hostagent.drivers.runbundle.RunBundle.remove"),
]


@asynccontextmanager
async def successor(config: Config, sandbox_id: str) -> AsyncIterator[tuple[OciDriver, Found]]:
    driver = OciDriver(config)
    await driver.open()
    try:
        (found,) = await driver.find()
        assert (found.sandbox_id, found.phase, found.is_held) == (sandbox_id, Phase.RUNNING, True)
        yield driver, found
        await driver.destroy(sandbox_id)
        assert await driver.find() == []
    finally:
        await driver.close(everything=True)
    await no_leaks(config)


@pytest.mark.parametrize(("when", "where"), NOT_STARTED)
async def test_run_that_certainly_did_not_start(config: Config, when: str, where: str) -> None:
    sandbox_id, run_id = new_id(), new_id()
    run_doomed_agent(config, sandbox_id, when, where, SCRIPT, run_id)
    async with successor(config, sandbox_id) as (driver, found):
        held = Held(driver, sandbox_id)
        spec = held.spec(SCRIPT, run_id=run_id)
        phases = [run.phase for run in found.runs]
        assert phases in ([], [Phase.BUILDING], [Phase.CREATED])
        if phases != [Phase.CREATED]:
            await driver.runs.destroy(spec.key)
            await driver.runs.create(spec)
        await driver.runs.start(spec.key)
        run = await held.ended(spec.key)
        assert (run.exit.exit_code, run.output.stdout) == (5, b"up\n")
        with pytest.raises(DriverError, match="started before"):
            await driver.runs.start(spec.key)
        assert (await held.run("cat /root/starts")).output.stdout == b"x\n"


@pytest.mark.parametrize(("when", "where"), STARTED)
async def test_run_that_started_is_adopted_and_not_started_again(
    config: Config, when: str, where: str
) -> None:
    sandbox_id, run_id = new_id(), new_id()
    run_doomed_agent(config, sandbox_id, when, where, SCRIPT, run_id)
    async with successor(config, sandbox_id) as (driver, found):
        held = Held(driver, sandbox_id)
        (key,) = [run.key for run in found.runs if run.phase in (Phase.RUNNING, Phase.EXITED)]
        with pytest.raises(DriverError, match="started before"):
            await driver.runs.start(key)
        run = await held.ended(key)
        assert (run.exit.exit_code, run.output.stdout) == (5, b"up\n")
        assert (await held.run("cat /root/starts")).output.stdout == b"x\n"


@pytest.mark.parametrize(("when", "where"), ENDED)
async def test_run_that_ended_never_looks_like_one_that_did_not_start(
    config: Config, when: str, where: str
) -> None:
    sandbox_id, run_id = new_id(), new_id()
    run_doomed_agent(config, sandbox_id, when, where, SCRIPT, run_id)
    async with successor(config, sandbox_id) as (driver, found):
        assert [run.phase for run in found.runs] in ([], [Phase.EXITED])
        await driver.runs.destroy(f"{sandbox_id}.{run_id}")
        assert await driver.runs.find(sandbox_id) == []
        assert (await Held(driver, sandbox_id).run("cat /root/starts")).output.stdout == b"x\n"


async def test_what_a_dead_agents_launcher_still_does_ends_with_it(config: Config) -> None:
    """Its queue held the start of a shim; the successor neither waits for that nor fears it."""
    sandbox_id, run_id = new_id(), new_id()
    where = "hostagent.linux.launch.Launch._send"
    run_doomed_agent(config, sandbox_id, "stopped after", where, SCRIPT, run_id)
    groups = cgroup.detect()
    (old,) = cgroup.pids(groups, f"{config.instance}/launcher", "cpu")
    async with successor(config, sandbox_id) as (driver, found):
        assert [run.phase for run in found.runs] == [Phase.BUILDING]
        launcher = driver.host.launch._child
        assert launcher is not None
        assert cgroup.pids(groups, f"{config.instance}/launcher", "cpu") == {launcher.pid}
        assert launcher.pid != old
        assert cgroup.pids(groups, driver.host.group(f"shim-{sandbox_id}.{run_id}"), "cpu") == set()
        await driver.runs.destroy(f"{sandbox_id}.{run_id}")
        held = Held(driver, sandbox_id)
        assert (await held.run(SCRIPT, run_id=run_id)).exit.exit_code == 5
        assert (await held.run("cat /root/starts")).output.stdout == b"x\n"


async def test_adopted_run_is_signalled_and_killed(config: Config) -> None:
    sandbox_id, run_id = new_id(), new_id()
    script = "trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.05; done"
    run_doomed_agent(config, sandbox_id, "after", "hostagent.drivers.runs.OciRuns.start", script, run_id)
    async with successor(config, sandbox_id) as (driver, found):
        held, key = Held(driver, sandbox_id), found.runs[0].key
        await held.says(key, b"up")
        async with held.started("echo up; exec sleep 60") as other:
            await driver.runs.kill(other)
            assert (await driver.runs.wait(other)).exit_code == 137
        await driver.runs.signal(key, signal.SIGTERM)
        run = await held.ended(key)
        assert (run.exit.exit_code, run.output.stdout) == (9, b"up\nbye\n")


async def test_adopted_run_whose_shim_is_gone_is_lost(config: Config) -> None:
    sandbox_id, run_id = new_id(), new_id()
    where = "hostagent.drivers.runs.OciRuns.start"
    run_doomed_agent(config, sandbox_id, "after", where, "sleep 60", run_id)
    async with successor(config, sandbox_id) as (driver, found):
        group = driver.runs._group(driver.runs._run(found.runs[0].key))
        cgroup.kill(driver.host.groups, group.shim, "cpu")
        assert [run.phase for run in await driver.runs.find(sandbox_id)] == [Phase.RUNNING]
        with pytest.raises(SandboxLost):
            await asyncio.wait_for(driver.runs.wait(found.runs[0].key), 5)
