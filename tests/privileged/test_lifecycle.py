"""A sandbox from create to destroy, and every way its script can end."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal

import pytest

from hostagent.drivers.base import Phase
from hostagent.drivers.oci import OciDriver
from hostagent.errors import DriverError, SandboxLost
from hostagent.linux import cgroup, launch
from tests.privileged.sandbox import Output, Sandboxes, make_spec, new_id


async def test_script_runs_and_exit_code_is_true(sandboxes: Sandboxes) -> None:
    run = await sandboxes.run("echo out; echo err >&2; exit 7")
    assert (run.exit.exit_code, run.exit.is_oom, run.exit.is_disk_full) == (7, False, False)
    assert (run.output.stdout, run.output.stderr) == (b"out\n", b"err\n")


@pytest.mark.parametrize(
    ("command", "code"), [("true", 0), ("exit 255", 255), ("kill -9 $$", 137), ("nope", 127)]
)
async def test_exit_codes(sandboxes: Sandboxes, command: str, code: int) -> None:
    assert (await sandboxes.run(command)).exit.exit_code == code


async def test_script_sees_the_promised_surroundings(sandboxes: Sandboxes) -> None:
    spec = make_spec(
        'id -u; pwd; hostname; echo "$HOME $USER $LANG $A"; cat | wc -c; cat /proc/1/comm',
        environment={"A": "b c"},
    )
    await sandboxes.driver.create(spec)
    await sandboxes.driver.start(spec.sandbox_id)
    await sandboxes.driver.wait(spec.sandbox_id)
    output = Output.read(sandboxes.driver.spool_path(spec.sandbox_id))
    await sandboxes.driver.destroy(spec.sandbox_id)
    assert output.text.split("\n")[:-1] == [
        "0",
        "/root",
        spec.sandbox_id,
        "/root root C.UTF-8 b c",
        "0",
        "init",
    ]


async def test_interpreter_line_is_honoured(sandboxes: Sandboxes) -> None:
    run = await sandboxes.run(
        "#!/usr/bin/env python3\nimport sys\nprint(sys.version_info.major)\nsys.exit(3)"
    )
    assert (run.exit.exit_code, run.output.stdout) == (3, b"3\n")


@pytest.mark.parametrize("script", [b"", b"# \xff\xfe not UTF-8\nexit 0", b"exit 0 #" + b"x" * 1024 * 1024])
async def test_odd_scripts_run(sandboxes: Sandboxes, script: bytes) -> None:
    assert (await sandboxes.run(script)).exit.exit_code == 0


async def test_interpreter_that_does_not_exist_is_the_scripts_failure(sandboxes: Sandboxes) -> None:
    assert (await sandboxes.run("#!/no/such/program\n")).exit.exit_code == 127


async def test_phases(sandboxes: Sandboxes) -> None:
    driver, spec = sandboxes.driver, make_spec("exit 0")
    await driver.create(spec)
    assert [(f.sandbox_id, f.phase) for f in await driver.find()] == [(spec.sandbox_id, Phase.CREATED)]
    await driver.start(spec.sandbox_id)
    await driver.wait(spec.sandbox_id)
    assert [f.phase for f in await driver.find()] == [Phase.EXITED]
    await driver.destroy(spec.sandbox_id)
    assert await driver.find() == []


async def test_created_sandbox_has_not_started(sandboxes: Sandboxes) -> None:
    driver, spec = sandboxes.driver, make_spec("echo started")
    await driver.create(spec)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(driver.wait(spec.sandbox_id), 0.3)
    assert Output.read(driver.spool_path(spec.sandbox_id)).stdout == b""
    await driver.destroy(spec.sandbox_id)


async def test_second_start_is_refused(sandboxes: Sandboxes) -> None:
    async with sandboxes.started("sleep 60") as sandbox_id:
        with pytest.raises(DriverError, match="started before"):
            await sandboxes.driver.start(sandbox_id)


async def test_start_of_what_was_not_created_is_refused(driver: OciDriver) -> None:
    with pytest.raises(DriverError, match="does not wait"):
        await driver.start(new_id())


async def test_second_create_is_refused_and_harms_nothing(sandboxes: Sandboxes) -> None:
    async with sandboxes.started("trap 'exit 9' TERM; echo up; sleep 60 & wait") as sandbox_id:
        await sandboxes.says(sandbox_id, b"up")
        with pytest.raises(DriverError, match="exists already"):
            await sandboxes.driver.create(make_spec("true", sandbox_id=sandbox_id))
        await sandboxes.driver.signal(sandbox_id, signal.SIGTERM)
        assert (await sandboxes.driver.wait(sandbox_id)).exit_code == 9


async def test_unknown_image_is_refused_and_leaves_nothing(driver: OciDriver) -> None:
    with pytest.raises(DriverError, match="no image nope"):
        await driver.create(make_spec("true", image="nope"))
    assert await driver.find() == []


async def test_failing_runtime_is_told_and_undone(driver: OciDriver) -> None:
    def break_spec(config: dict[str, object]) -> None:
        config["mounts"] = [
            {"destination": "/x", "type": "bind", "source": "/no/such/file", "options": ["bind"]}
        ]

    driver._edit_spec = break_spec
    with pytest.raises(DriverError, match="no/such/file"):
        await driver.create(make_spec("true"))
    assert await driver.find() == []


async def test_every_method_takes_an_unknown_sandbox(driver: OciDriver) -> None:
    sandbox_id = new_id()
    await driver.signal(sandbox_id, signal.SIGTERM)
    await driver.kill(sandbox_id)
    await driver.destroy(sandbox_id)
    with pytest.raises(SandboxLost):
        await driver.wait(sandbox_id)


async def test_names_that_are_not_ids_never_reach_a_path(driver: OciDriver) -> None:
    for call in (driver.wait, driver.kill, driver.destroy, driver.start):
        with pytest.raises(DriverError, match="not a sandbox id"):
            await call("../../etc/passwd")


async def test_sigterm_ends_a_script_and_its_children(sandboxes: Sandboxes) -> None:
    async with sandboxes.started("echo up; sleep 1000 | sleep 1000") as sandbox_id:
        await sandboxes.says(sandbox_id, b"up")
        await sandboxes.driver.signal(sandbox_id, signal.SIGTERM)
        assert (await asyncio.wait_for(sandboxes.driver.wait(sandbox_id), 5)).exit_code == 143


async def test_script_that_ignores_sigterm_is_killed(sandboxes: Sandboxes) -> None:
    async with sandboxes.started("trap '' TERM; echo up; while :; do sleep 1; done") as sandbox_id:
        await sandboxes.says(sandbox_id, b"up")
        await sandboxes.driver.signal(sandbox_id, signal.SIGTERM)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sandboxes.driver.wait(sandbox_id), 0.3)
        await sandboxes.driver.kill(sandbox_id)
        assert (await asyncio.wait_for(sandboxes.driver.wait(sandbox_id), 5)).exit_code == 137


async def test_background_child_holding_the_pipe_does_not_hold_the_end(sandboxes: Sandboxes) -> None:
    run = await sandboxes.run("sleep 999 & echo hi", timeout_s=5)
    assert (run.exit.exit_code, run.output.stdout) == (0, b"hi\n")


async def test_closed_stdout_is_not_the_end(sandboxes: Sandboxes) -> None:
    script = "trap 'exit 5' TERM; echo up; exec >&- 2>&-; while :; do sleep 0.1; done"
    async with sandboxes.started(script) as sandbox_id:
        await sandboxes.says(sandbox_id, b"up")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sandboxes.driver.wait(sandbox_id), 0.5)
        await sandboxes.driver.signal(sandbox_id, signal.SIGTERM)
        assert (await sandboxes.driver.wait(sandbox_id)).exit_code == 5


async def test_output_is_bytes(sandboxes: Sandboxes) -> None:
    run = await sandboxes.run(r"printf 'a\xff\xfe\0b\r\nno newline'")
    assert run.output.stdout == b"a\xff\xfe\0b\r\nno newline"


async def test_many_waiters_one_of_them_cancelled(sandboxes: Sandboxes) -> None:
    async with sandboxes.started("trap 'exit 4' TERM; echo up; sleep 60 & wait") as sandbox_id:
        waiters = [asyncio.create_task(sandboxes.driver.wait(sandbox_id)) for _ in range(5)]
        await sandboxes.says(sandbox_id, b"up")
        waiters[0].cancel()
        await sandboxes.driver.signal(sandbox_id, signal.SIGTERM)
        assert [e.exit_code for e in await asyncio.gather(*waiters[1:])] == [4] * 4


async def test_killed_shim_is_a_loss_not_an_exit_code(sandboxes: Sandboxes) -> None:
    async with sandboxes.started("sleep 60") as sandbox_id:
        waiter = asyncio.create_task(sandboxes.driver.wait(sandbox_id))
        for pid in cgroup.pids(
            cgroup.detect(), f"{sandboxes.driver.host.config.instance}/shim-{sandbox_id}", "cpu"
        ):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(SandboxLost):
            await asyncio.wait_for(waiter, 5)


async def test_killed_launcher_is_replaced(sandboxes: Sandboxes) -> None:
    async with sandboxes.started("trap 'exit 6' TERM; echo up; sleep 60 & wait") as sandbox_id:
        await sandboxes.says(sandbox_id, b"up")
        launcher = sandboxes.driver.host.launch._child
        assert launcher is not None
        launcher.kill()
        launcher.wait()
        assert (await sandboxes.run("exit 3")).exit.exit_code == 3
        await sandboxes.driver.signal(sandbox_id, signal.SIGTERM)
        assert (await sandboxes.driver.wait(sandbox_id)).exit_code == 6


async def test_stuck_launcher_is_replaced(driver: OciDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "TIMEOUT_S", 3.0)
    stuck = driver.host.launch._child
    assert stuck is not None
    stuck.send_signal(signal.SIGSTOP)
    with pytest.raises(DriverError, match="took longer"):
        await driver.create(make_spec("true"))
    monkeypatch.undo()
    assert await driver.find() == []
    assert (await Sandboxes(driver).run("exit 3")).exit.exit_code == 3


async def test_runtime_of_which_only_the_commands_are_known(sandboxes: Sandboxes) -> None:
    """What we do in crun's stead is done by the runtime's commands where it is another one."""
    driver = sandboxes.driver
    driver.host.engine = dataclasses.replace(driver.host.engine, kind="another")
    run = await sandboxes.run("echo hi; exit 3")
    assert (run.exit.exit_code, run.output.stdout) == (3, b"hi\n")
    assert await driver.find() == []


async def test_cancelled_create_leaves_a_whole_sandbox_or_none(driver: OciDriver) -> None:
    spec = make_spec("exit 0")
    task = asyncio.create_task(driver.create(spec))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await driver.destroy(spec.sandbox_id)  # waits for the build to end
    assert await driver.find() == []


async def test_eight_at_once_with_four_slots_and_four_spares(sandboxes: Sandboxes) -> None:
    runs = await asyncio.gather(*(sandboxes.run(f"exit {code}") for code in range(8)))
    assert [run.exit.exit_code for run in runs] == list(range(8))


@pytest.mark.parametrize(
    ("name", "value"), [("", "x"), ("A=B", "x"), ("A", "nul\0inside"), ("A", "lone \ud800 surrogate")]
)
async def test_impossible_variables_are_refused(driver: OciDriver, name: str, value: str) -> None:
    with pytest.raises(DriverError, match="environment variable"):
        await driver.create(make_spec("true", environment={name: value}))


async def test_hostile_variables_are_data(sandboxes: Sandboxes) -> None:
    environment = {
        "A": '"}], $(touch /tmp/pwned) `id`\n\x1b[31m',
        "LD_PRELOAD": "/no/such.so",
        "_OCI_SYNCPIPE": "1",
        "LISTEN_FDS": "1",
        "BASH_ENV": "/no/such",
        "XDG_RUNTIME_DIR": "/no/such",
    }
    script = (
        "#!/usr/bin/python3\nimport os, json\nprint(json.dumps({k: os.environ[k] for k in "
        + repr(list(environment))
        + "}))"
    )
    run = await sandboxes.run(script, environment=environment)
    assert run.exit.exit_code == 0
    assert eval(run.output.stdout) == environment  # noqa: S307 - our own script's dict of strings
