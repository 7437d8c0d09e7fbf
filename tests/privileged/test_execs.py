"""Execs through a real data port in a real sandbox."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from execwire import client
from execwire.client import ExecRefused
from execwire.frames import Kill, Open, Outcome, Resize, Signal, Size, Stdin, StdinEnd
from hostagent import control
from hostagent.config import Config
from hostagent.drivers.oci import OciDriver
from hostagent.linux import cgroup
from tests.privileged.data_ports import Ported, data_port, write_record
from tests.privileged.execs import Caller, opening
from tests.privileged.leaks import no_leaks
from tests.privileged.sandbox import Held, Sandboxes, new_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

IN_A_ROW = int(os.environ.get("EXECS_IN_A_ROW", "200"))
SILENT_S = int(os.environ.get("EXECS_SILENT_S", "1"))  # beyond 120: longer than keepalive's patience


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def driver(config: Config) -> AsyncIterator[OciDriver]:
    driver = OciDriver(config)
    await driver.open()
    yield driver
    await driver.close(everything=True)
    await no_leaks(config)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held(driver: OciDriver, config: Config) -> AsyncIterator[Held]:
    async with Sandboxes(driver).held(memory_mb=256) as held:
        write_record(config, held.sandbox_id)
        yield held


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ported(config: Config, held: Held) -> AsyncIterator[Ported]:
    async with data_port(config, exec_output_mb=4, wake_s=1.0) as ported:
        yield ported


@pytest.fixture
def caller(ported: Ported, held: Held) -> Caller:
    return Caller(ported.signer, held.sandbox_id, ported.port.port)


async def test_streams_apart_and_the_exit_code(caller: Caller) -> None:
    result = await caller.run("echo out; echo err >&2; exit 7")
    assert (result.stdout, result.stderr, result.gaps) == (b"out\n", b"err\n", [])
    assert (result.end.outcome, result.end.exit_code) == (Outcome.EXITED, 7)
    assert (result.end.stdout, result.end.stderr) == (4, 4)


@pytest.mark.parametrize(
    ("command", "stdout"),
    [
        ("printf '%s' \"it's \\\"quoted\\\"\"; printf '\\n\\n'", b'it\'s "quoted"\n\n'),
        ("cat <<'.'\n$HOME `x` \\ ü\n.\n", "$HOME `x` \\ ü\n".encode()),
        (b"printf %s '\xff\xfe\n\n'\n\n", b"\xff\xfe\n\n"),
        (b"echo " + b"x" * (100 * 1024 - 5), b"x" * (100 * 1024 - 5) + b"\n"),
        ("echo $A; pwd; umask; shopt -q login_shell 2> /dev/null; cat", b"b c\n/tmp\n0022\n"),
    ],
)
async def test_command_is_one_argument(caller: Caller, command: str | bytes, stdout: bytes) -> None:
    result = await caller.run(command, environment={"A": "b c"}, directory="/tmp")
    assert (result.stdout, result.stderr) == (stdout, b"")
    assert result.end.exit_code == 0


async def test_same_id_never_starts_twice(caller: Caller, held: Held) -> None:
    exec_id = new_id()
    command = opening("echo once | tee -a /root/once; sleep 0.2", exec_id=exec_id)
    results = await asyncio.gather(*(caller.run(command.command or b"", exec_id=exec_id) for _ in range(5)))
    results.append(await caller.run("echo other", exec_id=exec_id))
    assert {result.stdout for result in results} == {b"once\n"}
    assert len({result.end for result in results}) == 1
    assert (await held.run("cat /root/once")).output.stdout == b"once\n"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"command": None}, "no_exec"),
        ({"command": b"a\0b"}, "bad_command"),
        ({"command": b""}, "bad_frame"),
        ({"command": b"x" * (100 * 1024 + 1)}, "bad_frame"),
        ({"exec_id": "../../etc"}, "bad_frame"),
        ({"directory": "/no/such"}, "not_started"),
        ({"directory": "/is paused"}, "not_started"),
        ({"environment": {"A B": "c"}}, "bad_frame"),
    ],
)
async def test_what_cannot_be_started(caller: Caller, values: dict[str, object], code: str) -> None:
    with pytest.raises(ExecRefused) as caught:
        await caller.call(opening("echo started", **values))
    assert caught.value.code == code


async def test_background_child_outlives_its_exec(caller: Caller, ported: Ported, held: Held) -> None:
    result = await caller.run("sh -c 'sleep 999 & echo hi'")
    assert (result.stdout, result.end.exit_code) == (b"hi\n", 0)
    assert await _sleepers(held) == 1
    held.runs.sweep()  # the agent's
    ported.port._execs.sweep()
    assert len(_groups(held)) == 1
    await held.run("pkill sleep")
    ported.port._execs.sweep()
    assert _groups(held) == []


def _groups(held: Held) -> list[str]:
    group = held.driver.host.group(held.sandbox_id)
    return [n for n in cgroup.children(held.driver.host.groups, group) if n.startswith("exec-")]


async def _sleepers(held: Held) -> int:
    return int((await held.run("pgrep -c sleep || true")).output.stdout)


async def test_stdin_and_its_end(caller: Caller) -> None:
    data = secrets.token_bytes(3_000_000)
    result = await caller.run("cat; echo end >&2", data, has_stdin=True)
    assert result.stdout == data
    assert result.stderr == b"end\n"


async def test_stdin_nobody_reads(caller: Caller) -> None:
    result = await caller.run("exec <&-; sleep 0.2; echo done", b"x" * 2_000_000, has_stdin=True)
    assert (result.stdout, result.end.exit_code) == (b"done\n", 0)


async def test_stdin_waits_and_signals_do_not(caller: Caller) -> None:
    command = opening("trap 'echo got; exit 3' TERM; echo up; while :; do sleep 0.01; done", has_stdin=True)
    async with caller.opened(command) as reader:
        await reader.until(b"up")
        writing = asyncio.create_task(reader.connection.write(b"x" * 2_000_000))
        await asyncio.sleep(0.1)
        assert not writing.done()
        await reader.connection.send(Signal("TERM"))
        end = await reader.ended()
        writing.cancel()
    assert (end.outcome, end.exit_code, reader.data()) == (Outcome.EXITED, 3, b"up\ngot\n")


async def test_caller_that_goes_ends_nothing(caller: Caller) -> None:
    command = opening("echo up; read line; echo got $line; cat | wc -c", has_stdin=True)
    async with caller.opened(command) as reader:
        await reader.until(b"up")
    async with caller.opened(Open(command.exec_id)) as reader:
        await reader.until(b"up")
        await reader.connection.send(Stdin(b"hello\n"))
        await reader.until(b"got hello")
    async with caller.opened(Open(command.exec_id, stdout=3)) as reader:
        await reader.connection.send(Stdin(b"12345"))
        await reader.connection.send(StdinEnd())
        end = await reader.ended()
    assert (reader.data(), end.exit_code) == (b"got hello\n5\n", 0)


ENDS = {
    "killed": ("echo up; setsid sleep 999 & sleep 999", {}, Kill(), (Outcome.KILLED, 137)),
    "signal": ("echo up; exec sleep 999", {}, Signal("TERM"), (Outcome.SIGNALED, 143)),
    "timeout": ("echo up; setsid sleep 999 & sleep 999", {"timeout_ms": 300}, None, (Outcome.TIMED_OUT, 137)),
    "memory": ("echo up; exec tail /dev/zero", {}, None, (Outcome.OOM, 137)),
    "late kill": ("echo up; trap '' TERM; exit 9", {"timeout_ms": 600_000}, None, (Outcome.EXITED, 9)),
}


@pytest.mark.parametrize("how", ENDS)
async def test_end_is_told_once_and_to_all(caller: Caller, held: Held, how: str) -> None:
    command, values, frame, expected = ENDS[how]
    start = opening(command, **values)
    async with caller.opened(start) as one:
        await one.until(b"up")
        async with caller.opened(Open(start.exec_id)) as two:
            if frame is not None:
                await one.connection.send(frame)
            ends = [await one.ended(), await two.ended()]
    assert ends[0] == ends[1]
    assert (ends[0].outcome, ends[0].exit_code) == expected
    assert one.data() == two.data() == b"up\n"
    assert await _sleepers(held) == 0


async def test_terminal(caller: Caller) -> None:
    """`exec`, because a shell that is about to start a command may lose a Ctrl-C for it."""
    start = opening("stty size; tty; echo err >&2; exec sleep 999", terminal=Size(33, 77))
    async with caller.opened(start) as reader:
        await reader.until(b"err\r\n")
        assert reader.data() == b"33 77\r\n/dev/pts/0\r\nerr\r\n"
        await reader.connection.send(Stdin(b"\x03"))
        end = await reader.ended()
    assert (end.outcome, end.exit_code) == (Outcome.SIGNALED, 130)


async def test_terminal_whose_input_nobody_reads_shows_its_output(caller: Caller) -> None:
    waits = [f"until [ -e /tmp/go{number} ]; do sleep 0.02; done" for number in (1, 2)]
    command = f"stty raw -echo; echo up; {waits[0]}; echo later; {waits[1]}; head -c 200000 | md5sum"
    data = secrets.token_bytes(200_000)
    async with caller.opened(opening(command, terminal=Size(24, 80))) as reader:
        await reader.until(b"up")
        writing = asyncio.create_task(reader.connection.write(data))
        await caller.run("sleep 0.3; touch /tmp/go1")
        await reader.until(b"later")
        await caller.run("touch /tmp/go2")
        await reader.until(hashlib.md5(data, usedforsecurity=False).hexdigest().encode())
        await writing


async def test_kill_reaches_all_processes_of_a_terminal(caller: Caller, held: Held) -> None:
    """Also those in sessions of their own, that no signal to the terminal reaches."""
    start = opening("setsid -f sleep 999; (sleep 999 &) ; echo up; sleep 999", terminal=Size(24, 80))
    async with caller.opened(start) as reader:
        await reader.until(b"up")
        await reader.connection.send(Signal("KILL"))
        end = await reader.ended()
    assert (end.outcome, end.exit_code) == (Outcome.KILLED, 137)
    assert await _sleepers(held) == 0


async def test_silent_exec_is_not_cut(caller: Caller) -> None:
    result = await client.run(caller.place, opening(f"sleep {SILENT_S}; echo done"))
    assert (result.stdout, result.end.outcome) == (b"done\n", Outcome.EXITED)


async def test_exec_that_meets_a_freeze_is_not_lost(caller: Caller, ported: Ported, held: Held) -> None:
    """The agent freezes an idle sandbox, sees that somebody has just come, and thaws it."""

    async def agent(_line: str) -> dict[str, object]:
        await thawed.wait()
        return {"awake": True}

    results = []
    async with control.serve(ported.config.state_dir, agent):
        for delay_ms in range(12):
            thawed = asyncio.Event()
            running = asyncio.create_task(caller.run("echo ok"))
            await asyncio.sleep(delay_ms / 1000)
            await held.driver.freeze(held.sandbox_id)
            await asyncio.sleep(0.02)
            await held.driver.thaw(held.sandbox_id)
            thawed.set()
            results.append(await running)
    assert {(r.stdout, r.end.outcome) for r in results} == {(b"ok\n", Outcome.EXITED)}


async def test_shell_in_a_terminal_survives_its_callers(caller: Caller) -> None:
    start = opening("exec bash --norc -i", terminal=Size(24, 80))
    async with caller.opened(start) as reader:
        await reader.until(b"# ")
    async with caller.opened(Open(start.exec_id)) as reader:
        await reader.connection.send(Resize(Size(50, 132)))
        await reader.connection.send(Stdin(b"stty size\n"))
        await reader.until(b"50 132\r\n")
        await reader.connection.send(Stdin(b"bash -c 'echo re\"\"ady; exec sleep 999'\n"))
        await reader.until(b"ready\r\n")
        await reader.connection.send(Stdin(b"\x03"))
        await reader.connection.send(Stdin(b"echo co''de $?\n"))
        await reader.until(b"code 130\r\n")
        await reader.connection.send(StdinEnd())
        assert (await reader.ended()).outcome is Outcome.EXITED


async def test_offsets_of_both_streams(caller: Caller) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo er $i >&2; done; printf end"
    whole = await caller.run(script, exec_id=(exec_id := new_id()))
    for stdout, stderr in ((0, 0), (1, 0), (7, 13), (30, 44), (57, 45), (1000, 1000)):
        again = await caller.run("x", exec_id=exec_id, stdout=stdout, stderr=stderr)
        assert (again.stdout, again.stderr) == (whole.stdout[stdout:], whole.stderr[stderr:])
        assert again.end == whole.end


async def test_output_beyond_the_limit(caller: Caller) -> None:
    """The beginning and the end are kept; how much is missing is told."""
    exec_id = new_id()
    command = "seq 1000000 1 2500000; echo last >&2"  # 12 MB, and nearly seven times that in the spool
    live = await caller.run(command, exec_id=exec_id)
    late = await caller.run("x", exec_id=exec_id)
    for result in (live, late):
        missing = sum(gap.bytes for gap in result.gaps if gap.stream == 1)
        assert len(result.stdout) + missing == result.end.stdout == 1_500_001 * 8
        assert result.stdout.startswith(b"1000000\n1000001\n")
        assert result.stdout.endswith(b"2499999\n2500000\n")
        assert result.stderr == b"last\n"
    (gap,) = late.gaps
    whole = b"".join(b"%d\n" % n for n in range(1_000_000, 2_500_001))
    assert late.stdout == whole[: gap.offset] + whole[gap.offset + gap.bytes :]


async def test_output_that_is_old_is_given_back(caller: Caller, ported: Ported, held: Held) -> None:
    exec_id = new_id()
    first = await caller.run("echo some", exec_id=exec_id)
    exec_, _ = await ported.port._execs.open(held.sandbox_id, Open(exec_id))
    exec_.forget_output()
    again = await caller.run("echo some", exec_id=exec_id)
    assert again.end == first.end
    assert again.stdout == b""
    assert [(gap.offset, gap.bytes) for gap in again.gaps] == [(0, 5)]


async def test_many_in_a_row(caller: Caller, held: Held) -> None:
    for _ in range(IN_A_ROW):
        result = await caller.run("echo ok")
        assert (result.stdout, result.stderr) == (b"ok\n", b"")
        assert (result.end.outcome, result.end.exit_code) == (Outcome.EXITED, 0)


async def test_many_at_once(caller: Caller) -> None:
    results = await asyncio.gather(*(caller.run(f"echo {n}; sleep 0.1; exit {n}") for n in range(12)))
    assert [(r.stdout, r.end.exit_code) for r in results] == [(b"%d\n" % n, n) for n in range(12)]


async def test_ticket_for_something_else_opens_none(caller: Caller, ported: Ported) -> None:
    for port in (80, "ssh"):
        ticket = ported.signer.ticket(caller.sandbox_id, port)
        with pytest.raises(ExecRefused) as caught:
            await client.run(replace(caller.place, ticket=ticket), opening("true"))
        assert caught.value.code == "not_allowed"


async def test_execs_end_with_their_sandbox(driver: OciDriver, config: Config, ported: Ported) -> None:
    async with Sandboxes(driver).held(memory_mb=256) as doomed:
        write_record(config, doomed.sandbox_id)
        caller = Caller(ported.signer, doomed.sandbox_id, ported.port.port)
        start = opening("echo up; sleep 999")
        async with caller.opened(start) as reader:
            await reader.until(b"up")
            await driver.destroy(doomed.sandbox_id)
            end = await reader.ended()
    assert (end.outcome, end.exit_code, end.stdout) == (Outcome.LOST, None, 3)
    assert ported.port._execs.running(doomed.sandbox_id) == 0
    with pytest.raises(ExecRefused) as caught:  # its record is there, it is not
        await caller.run("true")
    assert caught.value.code == "not_started"


async def test_timeout_in_a_frozen_sandbox_waits_and_holds_nobody_up(
    caller: Caller, ported: Ported, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is connected to the terminal, so its agent has put the sandbox to sleep."""
    monkeypatch.setattr("hostagent.execs.running.AGAIN_S", 0.05)
    shell = opening("tty; sleep 999", terminal=Size(24, 80), timeout_ms=500)
    async with caller.opened(shell) as reader:
        await reader.until(b"/dev/pts/")
    execs = ported.port._execs
    exec_ = next(one for one in execs._live.values() if one.key.endswith(shell.exec_id))
    loop, asked, killed = asyncio.get_running_loop(), asyncio.Event(), list[str]()
    is_frozen = exec_.driver.is_sandbox_frozen

    def asking(key: str) -> bool:
        loop.call_soon_threadsafe(asked.set)
        return is_frozen(key)

    monkeypatch.setattr(exec_.driver, "is_sandbox_frozen", asking)
    monkeypatch.setattr(exec_.driver, "kill", killed.append)
    await held.driver.freeze(held.sandbox_id)
    async with asyncio.timeout(20):
        for _ in range(2):
            asked.clear()
            await asked.wait()
    assert killed == []
    monkeypatch.undo()
    await held.driver.thaw(held.sandbox_id)
    async with asyncio.timeout(20):
        assert (await exec_.over()).outcome is Outcome.TIMED_OUT


async def test_frozen_sandbox_is_woken(caller: Caller, ported: Ported, held: Held) -> None:
    host = held.driver.host

    async def agent(_line: str) -> dict[str, object]:
        cgroup.thaw(host.groups, host.group(held.sandbox_id))
        return {"awake": True}

    await held.driver.freeze(held.sandbox_id)
    with pytest.raises(ExecRefused) as caught:
        await caller.run("true")
    assert caught.value.code == "not_awake"
    async with control.serve(ported.config.state_dir, agent):
        assert (await caller.run("echo awake")).stdout == b"awake\n"
