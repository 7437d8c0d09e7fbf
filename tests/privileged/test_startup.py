"""Startup commands: supervised by an agent, executed by a data port, in a real sandbox."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
import structlog

from execwire.frames import Open
from hostagent import control, startup
from hostagent.config import Config
from hostagent.drivers.oci import OciDriver
from hostagent.heldwire import StartupReport, StartupWish
from hostagent.holdings import Holding, Holdings
from hostagent.linux import cgroup
from hostagent.startup import Startup
from hostagent.startupwire import StartOrder
from tests.privileged.data_ports import Ported, data_port, write_record
from tests.privileged.execs import Caller
from tests.privileged.leaks import no_leaks
from tests.privileged.sandbox import Held, Sandboxes

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def driver(config: Config) -> AsyncIterator[OciDriver]:
    driver = OciDriver(config)
    await driver.open()
    yield driver
    await driver.close(everything=True)
    await no_leaks(config)


@pytest_asyncio.fixture(loop_scope="module")
async def held(driver: OciDriver, config: Config) -> AsyncIterator[Held]:
    async with Sandboxes(driver).held(memory_mb=256) as held:
        write_record(config, held.sandbox_id)
        yield held


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ported(config: Config, driver: OciDriver) -> AsyncIterator[Ported]:
    async with data_port(config) as ported:
        yield ported


class Agent:
    """As much of one as supervises a startup command; the record is on disk, for the next one."""

    def __init__(self, config: Config, sandbox_id: str) -> None:
        self.reports: list[StartupReport] = []
        self._config = config
        self._changed = asyncio.Event()
        holdings = Holdings(config.state_dir / "held")
        (record,) = [record for record in holdings.load() if record.sandbox_id == sandbox_id]
        self._holding = Holding(holdings, record, structlog.get_logger())

    def _told(self, report: StartupReport) -> None:
        self.reports.append(report)
        self._changed.set()

    @contextlib.asynccontextmanager
    async def supervising(self, command: str, **environment: str) -> AsyncIterator[asyncio.Task[None]]:
        record = self._holding.record
        record.wish = msgspec.structs.replace(record.wish, startup=StartupWish(command, environment))
        startup_ = Startup(self._config.state_dir, self._holding, self._told, structlog.get_logger())
        task = asyncio.create_task(startup_.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, count: int) -> list[StartupReport]:
        async with asyncio.timeout(30):
            while len(self.reports) < count:
                await self._changed.wait()
                self._changed.clear()
        return self.reports[:count]


def states(reports: list[StartupReport]) -> list[tuple[int, str, int | None]]:
    return [(report.attempt, report.state, report.exit_code) for report in reports]


@pytest.fixture
def caller(ported: Ported, held: Held) -> Caller:
    return Caller(ported.signer, held.sandbox_id, ported.port.port)


async def content(held: Held, path: str) -> bytes:
    """Of a file that is there, or about to be."""
    return (await held.run(f"until [ -s {path} ]; do sleep 0.02; done; cat {path}")).output.stdout


async def test_command_that_succeeds_is_done(config: Config, held: Held, caller: Caller) -> None:
    agent = Agent(config, held.sandbox_id)
    command = "echo $GREETING; sleep 999 > /dev/null 2>&1 & echo x >> /root/starts"
    async with agent.supervising(command, GREETING="it's up") as task:
        await task
    assert states(agent.reports) == [(1, "started", None), (1, "exited", 0)]
    assert agent.reports[-1].again_s is None
    result = await caller.call(Open(agent.reports[0].exec_id))  # as anybody reads it
    assert (result.stdout, result.end.exit_code) == (b"it's up\n", 0)
    later = Agent(config, held.sandbox_id)
    async with later.supervising(command) as task:
        await task
    assert later.reports == agent.reports[-1:]  # told again, not done again
    assert await content(held, "/root/starts") == b"x\n"
    assert (await held.run("pgrep -c sleep")).output.stdout == b"1\n"


async def test_failed_tries_are_repeated(
    config: Config, held: Held, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More and more seldom; what each left running is killed before the next; the last three are kept."""
    monkeypatch.setattr(startup, "jitter", lambda seconds: seconds / 20)
    agent = Agent(config, held.sandbox_id)
    command = "echo x >> /root/starts; pgrep -c sleep; sleep 999 & "
    command += "test $(wc -l < /root/starts) = 6 || kill -TERM $$"
    async with agent.supervising(command) as task:
        await asyncio.wait_for(task, 60)
    assert states(agent.reports) == [
        entry
        for number in range(1, 7)
        for entry in ((number, "started", None), (number, "exited", 0 if number == 6 else 143))
    ]
    ends = [report for report in agent.reports if report.state == "exited"]
    assert [end.again_s for end in ends] == [0.05, 0.1, 0.2, 0.4, 0.8, None]
    assert {end.reason for end in ends[:-1]} == {"signaled"}
    results = [await caller.call(Open(end.exec_id)) for end in ends[3:]]
    assert [result.stdout for result in results] == [b"0\n"] * 3
    directories = {
        path.name for path in (config.state_dir / "fs/sandboxes" / held.sandbox_id / "execs").iterdir()
    }
    assert directories == {f"exec-{end.exec_id}" for end in ends[3:]}


async def test_who_ran_for_long_begins_anew(
    config: Config, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "jitter", lambda seconds: seconds / 20)
    monkeypatch.setattr(startup, "LASTING_MS", 500)
    agent = Agent(config, held.sandbox_id)
    command = "echo x >> /root/starts; test $(wc -l < /root/starts) = 3 && sleep 0.6; exit 1"
    async with agent.supervising(command):
        reports = await agent.until(8)
    assert [report.again_s for report in reports[1::2]] == [0.05, 0.1, 0.05, 0.1]


async def test_neither_restart_starts_it_twice(config: Config, held: Held, ported: Ported) -> None:
    """Agents come and go, before and after the data port has said that it started."""
    command = "echo x >> /root/starts; exec sleep 999"
    for number in range(4):
        agent = Agent(config, held.sandbox_id)
        async with agent.supervising(command):
            if number:
                await agent.until(1)
            else:
                await asyncio.sleep(0.01)
    assert states(agent.reports) == [(1, "started", None)]
    assert await content(held, "/root/starts") == b"x\n"
    evidence = await control.ask(config.state_dir / control.DATA_PORT, "connections")
    assert evidence["execs"] == {}  # nobody is active for it
    assert ported.port._execs.running(held.sandbox_id) == 1


async def test_sleeper_is_not_woken_for_it(
    config: Config, held: Held, ported: Ported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "jitter", lambda seconds: seconds / 20)
    await held.driver.freeze(held.sandbox_id)
    order = StartOrder(Open("early000", command=b"echo early >> /root/starts"))
    line = f"exec start {held.sandbox_id} {msgspec.json.encode(order).decode()}"
    answer = await control.ask(config.state_dir / control.DATA_PORT, line)
    assert answer["code"] == "asleep"
    agent = Agent(config, held.sandbox_id)
    async with agent.supervising("echo x >> /root/starts; exec sleep 999"):
        await held.driver.thaw(held.sandbox_id)
        await agent.until(1)
    assert await content(held, "/root/starts") == b"x\n"


async def test_lost_with_its_shim(config: Config, held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    """An end that nobody knows is said to be so, and the command is started again."""
    monkeypatch.setattr(startup, "jitter", lambda seconds: seconds / 20)
    agent = Agent(config, held.sandbox_id)
    async with agent.supervising("exec sleep 999"):
        (started,) = await agent.until(1)
        host = held.driver.host
        cgroup.kill(host.groups, host.group(f"shim-{held.sandbox_id}.exec-{started.exec_id}"), "cpu")
        reports = await agent.until(3)
    assert states(reports) == [(1, "started", None), (1, "exited", None), (2, "started", None)]
    assert reports[1].reason == "lost"
    assert (await held.run("pgrep -c sleep")).output.stdout == b"1\n"
