"""Runs in a held sandbox, and every way they can end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hostagent.config import Config
from hostagent.drivers.base import FoundRun, Phase, RunSpec
from hostagent.drivers.host import SHIM
from hostagent.drivers.oci import OciDriver
from hostagent.errors import DriverError, SandboxLost
from hostagent.linux import cgroup
from tests.privileged.leaks import no_leaks
from tests.privileged.sandbox import Held, Sandboxes, make_spec, new_id

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def driver(config: Config) -> AsyncIterator[OciDriver]:
    """One for all tests here: to open and close it takes longer than most of them."""
    driver = OciDriver(config)
    await driver.open()
    yield driver
    sandboxes = await driver.find()
    await driver.close(everything=True)
    await no_leaks(config)
    assert sandboxes == [], "the tests left sandboxes behind"


@pytest_asyncio.fixture(loop_scope="module")
async def held(sandboxes: Sandboxes) -> AsyncIterator[Held]:
    async with sandboxes.held(memory_mb=256) as held:
        yield held


async def test_run_and_its_exit_code(held: Held) -> None:
    run = await held.run("echo out; echo err >&2; exit 7")
    assert (run.exit.exit_code, run.exit.is_oom, run.exit.is_disk_full) == (7, False, False)
    assert (run.output.stdout, run.output.stderr) == (b"out\n", b"err\n")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("true", 0),
        ("exit 255", 255),
        ("kill -9 $$", 137),
        ("nope", 127),
        ("#!/no/such/program\n", 127),
        ("#!/usr/bin/env python3\nimport sys\nsys.exit(3)", 3),
        (b"# \xff\xfe not UTF-8\nexit 4", 4),
        (b"exit 6 #" + b"x" * 1024 * 1024, 6),
    ],
)
async def test_exit_codes(held: Held, command: str | bytes, code: int) -> None:
    assert (await held.run(command)).exit.exit_code == code


async def test_run_has_the_surroundings_of_a_script_in_a_sandbox_of_its_own(
    sandboxes: Sandboxes, held: Held
) -> None:
    script = (
        "id; pwd; env | sort; ulimit -Sn; ulimit -Hn; ulimit -c; umask; cat | wc -c; shopt login_shell;"
        " cat /proc/self/oom_score_adj /proc/self/mounts"
    )
    alone = await sandboxes.run(script, environment={"A": "b c"}, memory_mb=256)
    run = await held.run(script, environment={"A": "b c"})
    assert _comparable(run.output.text) == _comparable(alone.output.text)


def _comparable(text: str) -> set[str]:
    """Without what differs between two sandboxes: their layers and ids, and where the script lies."""
    lines = re.sub(r"[0-9]{7}", "N", text).splitlines()
    return {line for line in lines if "overlay" not in line and "/run/mags/" not in line}


async def test_environment_is_data(held: Held) -> None:
    environment = {
        "A": '"}], $(touch /tmp/pwned) `id`\n\x1b[31m',
        "A.B-C": "no shell has such a name",
        "LD_PRELOAD": "/no/such.so",
        "_OCI_SYNCPIPE": "1",
        "_OCI_STARTPIPE": "1",
        "LISTEN_FDS": "1",
        "BASH_ENV": "/no/such",
    }
    names = list(environment)
    script = f"#!/usr/bin/python3\nimport os, json\nprint(json.dumps([os.environ[k] for k in {names!r}]))"
    run = await held.run(script, environment=environment)
    assert json.loads(run.output.stdout) == list(environment.values())
    with pytest.raises(DriverError, match="environment variable"):
        await held.runs.create(held.spec("true", environment={"A=B": "x"}))
    assert await held.runs.find(held.sandbox_id) == []


async def test_files_stay_for_the_next_run(held: Held) -> None:
    await held.run("echo kept > /root/file; echo memory > /dev/shm/file")
    assert (await held.run("cat /root/file /dev/shm/file")).output.stdout == b"kept\nmemory\n"


async def test_home_that_is_gone_stops_nobody(held: Held) -> None:
    await held.run("rm -rf /root")
    assert (await held.run("pwd; mkdir /root")).output.stdout == b"/\n"
    assert (await held.run("pwd; rmdir /root; ln -s /nowhere /root")).output.stdout == b"/root\n"
    assert (await held.run("pwd")).output.stdout == b"/\n"


async def test_phases(held: Held) -> None:
    spec = held.spec("exit 0")
    await held.runs.create(spec)
    assert await held.runs.find(held.sandbox_id) == [FoundRun(spec.key, Phase.CREATED)]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(held.runs.wait(spec.key), 0.2)
    assert held.runs.spool_path(spec.key).read_bytes() == b""
    await held.runs.start(spec.key)
    await held.runs.wait(spec.key)
    (found,) = await held.driver.find()
    assert (found.is_held, found.phase, found.runs) == (
        True,
        Phase.RUNNING,
        (FoundRun(spec.key, Phase.EXITED),),
    )
    with pytest.raises(DriverError, match="started before"):
        await held.runs.start(spec.key)
    await held.runs.destroy(spec.key)
    assert await held.runs.find(held.sandbox_id) == []


async def test_refusals(sandboxes: Sandboxes, held: Held) -> None:
    async with sandboxes.started("sleep 60") as sandbox_id:
        with pytest.raises(DriverError, match="not one that holds runs"):
            await held.runs.create(RunSpec(sandbox_id, new_id(), b""))
    with pytest.raises(DriverError, match="not one that holds runs"):
        await held.runs.create(RunSpec(new_id(), new_id(), b""))
    for key in (
        "../../etc.passwdpasswd",
        f"{held.sandbox_id}./../../x",
        held.sandbox_id,
        f"{held.sandbox_id}.hold",
    ):
        for call in (held.runs.start, held.runs.wait, held.runs.kill, held.runs.destroy):
            with pytest.raises(DriverError, match=r"not the key|not a sandbox id"):
                await call(key)
    async with held.started("sleep 60") as key:
        with pytest.raises(DriverError, match="exists already"):
            await held.runs.create(held.spec("true", run_id=key.partition(".")[2]))


async def test_every_method_takes_an_unknown_run(held: Held) -> None:
    key = held.spec("").key
    await held.runs.signal(key, signal.SIGTERM)
    await held.runs.kill(key)
    await held.runs.destroy(key)
    with pytest.raises(SandboxLost):
        await held.runs.wait(key)
    with pytest.raises(DriverError, match="does not wait"):
        await held.runs.start(key)


async def test_three_hundred_in_a_row(held: Held) -> None:
    for number in range(300):
        run = await held.run(f"echo run {number}; echo {number} >> /root/all; exit {number % 256}")
        assert (run.exit.exit_code, run.output.stdout) == (number % 256, f"run {number}\n".encode())
    run = await held.run("cat /root/all; ls /run/mags/runs; ls -d /proc/[0-9]* | wc -l")
    numbers, (_own, hold, processes) = run.output.text.split()[:300], run.output.text.split()[300:]
    assert numbers == [str(number) for number in range(300)]
    assert hold == "hold" or _own == "hold"
    assert int(processes) <= 8
    group = held.driver.host.group(held.sandbox_id)
    assert cgroup.children(held.driver.host.groups, group) == set()


async def test_many_at_once(held: Held) -> None:
    runs = await asyncio.gather(*(held.run(f"echo {n}; sleep 0.1; exit {n}") for n in range(12)))
    assert [(run.exit.exit_code, run.output.stdout) for run in runs] == [
        (n, f"{n}\n".encode()) for n in range(12)
    ]


async def test_one_of_several_is_killed_with_all_its_processes(held: Held) -> None:
    forks = "setsid sleep 1000 & (sleep 1000 | sleep 1000) & echo up; sleep 1000"
    async with held.started(forks) as one, held.started(forks) as two:
        await held.says(one, b"up")
        await held.says(two, b"up")
        assert await _sleepers(held) == 8
        await held.runs.kill(one)
        assert (await held.ended(one)).exit.exit_code == 137
        assert await _sleepers(held) == 4
        assert [run.phase for run in await held.runs.find(held.sandbox_id)].count(Phase.RUNNING) == 1
    assert await _sleepers(held) == 0


async def _sleepers(held: Held) -> int:
    return int((await held.run("pgrep -c sleep || true")).output.stdout)


async def test_background_child_may_go_on_printing(held: Held) -> None:
    """More than a pipe holds, after conmon is gone."""
    late = "(until [ -e /root/go ]; do sleep 0.02; done; {0} && touch /root/late{1}) & echo hi; sleep 0.2"
    writes = "head -c 200000 /dev/zero", "head -c 200000 /dev/zero >&2"
    for number, write in enumerate(writes):
        assert (await held.run(late.format(write, number))).output.stdout == b"hi\n"
    look = (
        "touch /root/go; until [ $(ls /root/late* 2> /dev/null | wc -l) = 2 ]; do sleep 0.02; done; echo all"
    )
    assert (await held.run(look, timeout_s=20)).output.stdout == b"all\n"


async def test_background_child_outlives_its_run(held: Held) -> None:
    script = "sleep 999 & echo hi; exit 3"
    async with held.started(script) as key:
        run = await held.ended(key, timeout_s=5)
        assert (run.exit.exit_code, run.output.stdout) == (3, b"hi\n")
        assert await _sleepers(held) == 1
    assert await _sleepers(held) == 1  # also when nothing else of the run is left
    groups, group = held.driver.host.groups, held.driver.host.group(held.sandbox_id)
    held.runs.sweep()
    assert len(cgroup.children(groups, group)) == 1
    await held.runs.kill(key)
    held.runs.sweep()
    assert cgroup.children(groups, group) == set()
    assert await _sleepers(held) == 0


async def test_run_that_was_not_started_is_killed(held: Held) -> None:
    spec = held.spec("echo started")
    await held.runs.create(spec)
    await held.runs.kill(spec.key)
    with pytest.raises(DriverError, match="cannot start any more"):
        await held.runs.start(spec.key)
    assert await held.runs.find(held.sandbox_id) == [FoundRun(spec.key, Phase.CREATED)]
    await held.runs.destroy(spec.key)


async def test_kill_does_not_miss_a_run_that_is_about_to_start(held: Held) -> None:
    """Killed while conmon and the runtime are still at work, at many different moments."""
    for wait_ms in range(0, 20, 2):
        spec = held.spec("setsid sleep 1000 & sleep 1000")
        await held.runs.create(spec)
        starting = asyncio.create_task(held.runs.start(spec.key))
        await asyncio.sleep(wait_ms / 1000)
        await held.runs.kill(spec.key)
        await asyncio.gather(starting, return_exceptions=True)
        await held.runs.kill(spec.key)  # where `kill` came before the start
        await held.runs.destroy(spec.key)
    assert await _sleepers(held) == 0


async def test_sigterm_reaches_the_script(held: Held) -> None:
    script = "trap 'echo bye; exit 5' TERM; echo up; exec >&- 2>&-; while :; do sleep 0.05; done"
    async with held.started(script) as key, held.started("echo up; sleep 1000 | sleep 1000") as other:
        await held.says(key, b"up")
        await held.says(other, b"up")
        with pytest.raises(TimeoutError):  # a closed stdout is not the end
            await asyncio.wait_for(held.runs.wait(key), 0.3)
        await held.runs.signal(key, signal.SIGTERM)
        assert (await held.ended(key, 5)).exit.exit_code == 5
        await held.runs.signal(other, signal.SIGTERM)
        assert (await held.ended(other, 5)).exit.exit_code == 143


async def test_only_the_run_that_took_the_memory_says_so(held: Held) -> None:
    async with held.started("echo up; sleep 60") as other:
        await held.says(other, b"up")
        run = await held.run("exec tail /dev/zero")
        assert (run.exit.exit_code, run.exit.is_oom) == (137, True)
        await held.runs.signal(other, signal.SIGTERM)
        assert (await held.runs.wait(other)).is_oom is False
    assert (await held.run("exit 0")).exit.is_oom is False


async def test_processes_of_all_runs_are_counted_together(held: Held) -> None:
    limit = held.driver.host.config.pids_limit
    script = f"for i in $(seq {limit}); do sleep 1000 & done; wait"
    async with held.started(script) as bomb:
        await held.says(bomb, b"Resource temporarily unavailable")
        group = held.driver.host.group(held.sandbox_id)
        assert len(cgroup.pids(held.driver.host.groups, group)) <= limit
        await held.runs.kill(bomb)
    assert (await held.run("echo fine")).output.stdout == b"fine\n"


async def test_full_disk_is_told(sandboxes: Sandboxes) -> None:
    async with sandboxes.held(disk_gb=1) as held:
        run = await held.run("fallocate -l 1010M /root/a && dd if=/dev/zero of=/root/b bs=1M count=40")
        assert run.exit.is_disk_full
        assert run.exit.exit_code == 1


async def test_flood_is_slowed_down_and_complete(held: Held) -> None:
    """conmon may use a quarter of a CPU; nothing is lost while there is room."""
    run = await held.run("head -c 20000000 /dev/zero | tr '\\0' x")
    assert len(run.output.stdout) == 20_000_000
    async with held.started("echo up; exec yes") as key:
        await held.says(key, b"up")
        assert _quota_us(held, held.driver.runs._group(held.driver.runs._run(key)).shim) == "25000"
        await held.runs.kill(key)


def _quota_us(held: Held, group: str) -> str:
    groups = held.driver.host.groups
    file = "cpu.max" if groups.is_v2 else "cpu.cfs_quota_us"
    return (groups.path("cpu", group) / file).read_text().split()[0]


async def test_what_goes_on_printing_is_slowed_down(held: Held) -> None:
    await held.run("(sleep 60; yes) &")
    group = held.driver.host.group(f"{SHIM}{held.sandbox_id}.out")
    assert cgroup.pids(held.driver.host.groups, group, "cpu") != set()
    assert _quota_us(held, group) == "25000"


async def test_killed_shim_of_a_run_is_a_loss(held: Held) -> None:
    async with held.started("sleep 60") as key:
        waiter = asyncio.create_task(held.runs.wait(key))
        await asyncio.sleep(0)
        shim = held.driver.runs._group(held.driver.runs._run(key)).shim
        for pid in cgroup.pids(held.driver.host.groups, shim, "cpu"):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(SandboxLost):
            await asyncio.wait_for(waiter, 5)
    assert await _sleepers(held) == 0


async def test_end_of_the_sandbox_ends_its_runs(held: Held) -> None:
    async with held.started("echo up; sleep 60") as key:
        await held.says(key, b"up")
        await held.driver.kill(held.sandbox_id)
        assert (await held.ended(key, 5)).exit.exit_code == 137
        assert (await asyncio.wait_for(held.driver.wait(held.sandbox_id), 5)).exit_code == 137
        with pytest.raises(DriverError, match="not up"):
            await held.runs.create(held.spec("true"))


async def test_runtime_that_fails_is_told(held: Held) -> None:
    """The container ends between the preparation of a run and its start."""
    spec = held.spec("true")
    await held.runs.create(spec)
    await held.driver.kill(held.sandbox_id)
    await held.driver.wait(held.sandbox_id)
    with pytest.raises(DriverError, match="not running"):
        await held.runs.start(spec.key)
    with pytest.raises(SandboxLost):
        await asyncio.wait_for(held.runs.wait(spec.key), 5)


async def test_failed_preparation_leaves_nothing(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = held.driver.host.launch._child
    assert launcher is not None
    monkeypatch.setattr("hostagent.linux.launch.TIMEOUT_S", 1.0)
    launcher.send_signal(signal.SIGSTOP)
    with pytest.raises(DriverError, match="took longer"):
        await held.runs.create(held.spec("echo started"))
    monkeypatch.undo()
    assert await held.runs.find(held.sandbox_id) == []
    assert (await held.run("exit 3")).exit.exit_code == 3


async def test_destroyed_sandbox_takes_its_runs_along(driver: OciDriver) -> None:
    spec = make_spec("", is_held=True)
    await driver.create(spec)
    await driver.start(spec.sandbox_id)
    held = Held(driver, spec.sandbox_id)
    waiting, running, ended = (
        held.spec(script) for script in ("exit 1", "sleep 60 & sleep 60", "sleep 60 &")
    )
    for run in (waiting, running, ended):
        await driver.runs.create(run)
    for run in (running, ended):
        await driver.runs.start(run.key)
    await driver.runs.wait(ended.key)
    await driver.destroy(spec.sandbox_id)
    assert await driver.find() == []
