"""Startup commands of a whole agent, which falls asleep, wakes and dies beside them."""

from __future__ import annotations

import signal

import pytest

from execwire.frames import Open
from tests.agent.fake_sandboxes import FakeSandbox
from tests.privileged.test_keeper import bucket, end  # noqa: F401 - a fixture
from tests.privileged.test_sleep import SERVER, SOON, Bench, bench  # noqa: F401 - a fixture

pytestmark = pytest.mark.asyncio(loop_scope="module")

ECHO = SERVER.removeprefix("setsid ").partition(" > ")[0]  # in the foreground
IS_SERVING = "until [ -e /tmp/serving ]; do sleep 0.02; done"
COMMAND = f"echo $NAME >> /root/starts; exec {ECHO}"


async def told(bench: Bench, sandbox: FakeSandbox, number: int) -> list[tuple[int, str]]:  # noqa: F811
    """What was told of its startup command, once there is so much of it."""
    await bench.plane.wait(lambda: len(sandbox.startups) >= number)
    return [(item["attempt"], item["state"]) for item in sandbox.startups]


async def test_server_is_there_whatever_happens(bench: Bench) -> None:  # noqa: F811
    wish = {"command": COMMAND, "environment": {"NAME": "it's me"}, "count": 0}
    sandbox = await bench.plane.hold(None, startup=wish)
    assert await told(bench, sandbox, 1) == [(1, "started")]
    caller = bench.caller(sandbox)
    await caller.run(IS_SERVING)
    await bench.plane.wish(sandbox, sleep=SOON)
    assert await bench.naps(sandbox, 1) == ["asleep"]  # it keeps nobody awake
    assert sandbox.naps[0]["evidence"]["execs"] == 0
    await bench.agent.signal(signal.SIGKILL)
    await bench.agent.start()
    assert await bench.echo(sandbox) == b"hello"  # frozen and thawed, not started anew
    assert (await caller.run("cat /root/starts")).stdout == b"it's me\n"
    await caller.run("pkill -KILL python3; rm /tmp/serving")
    await caller.run(IS_SERVING)
    assert await told(bench, sandbox, 3) == [(1, "started"), (1, "exited"), (2, "started")]
    exited = sandbox.startups[1]
    assert (exited["reason"], exited["exit_code"]) == ("signaled", 137)
    assert 0.5 <= exited["again_s"] <= 1
    assert (await caller.call(Open(exited["exec_id"]))).end.exit_code == 137
    assert (await caller.run("cat /root/starts")).stdout == b"it's me\n" * 2
    assert await bench.echo(sandbox) == b"hello"
    await end(bench.plane, sandbox)
