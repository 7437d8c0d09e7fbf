"""The life of slots: taken, renewed, adopted, and gone without a trace."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hostagent.errors import ConfigError, DriverError
from hostagent.linux import conntrack, iproute, netns, sysctl
from hostagent.network import NetworkPool, NetworkSlot
from tests.privileged.internet import MACHINE4, PUBLIC4, PUBLIC6, Machine, forwarding_record
from tests.privileged.pools import INSTANCE, opened, pool_config, remains

ROOT = Path(__file__).resolve().parents[2]
UPLINK4, UPLINK6 = "net/ipv4/conf/up0/forwarding", "net/ipv6/conf/up0/force_forwarding"


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine() as machine:
        yield machine


async def until(is_true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 5
    while not is_true():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.005)


def space(slot: NetworkSlot) -> int:
    return os.stat(slot.netns_path).st_ino  # noqa: PTH116  a magic link


def tracked() -> int:
    """Entries with an address of a sandbox. The walk deletes what it is told to: nothing."""
    seen: list[bytes] = []

    def note(address: bytes) -> bool:
        if address[:2] in (b"\x0a\xd5", b"\xfd\x6d"):
            seen.append(address)
        return False

    conntrack.delete(note)
    return len(seen)


async def test_take_is_instant_and_waits_when_all_are_in_use(machine: Machine) -> None:
    async with opened() as pool:
        began = time.monotonic()
        slots = [await pool.take() for _ in range(6)]
        assert time.monotonic() - began < 0.05
        assert len({space(slot) for slot in slots}) == 6
        waiter = asyncio.create_task(pool.take())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiter), 0.2)
        former = space(slots[3])
        await pool.give(slots[3])
        fresh = await asyncio.wait_for(waiter, 5)
        assert fresh.index == slots[3].index
        assert space(fresh) != former
        assert machine.tcp(fresh, PUBLIC4, 80) == "open"


async def test_given_slot_keeps_nothing_of_its_tenant(machine: Machine) -> None:
    async with opened(sandboxes=1) as pool:
        slot, neighbour = await pool.take(), await pool.take()
        held = [
            machine.connect(where, address, 80)
            for where in (slot, neighbour)
            for address in (PUBLIC4, PUBLIC6)
        ]
        machine.add_server(slot.netns_path, 7000)
        before = tracked()
        others = [await pool.take() for _ in range(3)]
        await pool.give(slot)
        fresh = await asyncio.wait_for(pool.take(), 5)
        assert fresh.index == slot.index
        assert 0 < tracked() < before
        assert machine.tcp(fresh, "127.0.0.1", 7000) == "refused"
        held[2].recv(100)
        held[2].send(b"the neighbour's connection lives")
        for client in held:
            client.close()
        assert len(others) == 3


async def test_slot_is_given_once(machine: Machine) -> None:
    async with opened(sandboxes=1) as pool:
        slots = [await pool.take() for _ in range(5)]
        await pool.give(slots[0])
        fresh = await asyncio.wait_for(pool.take(), 5)
        await pool.give(slots[0])  # a repeated destroy, after the slot has a new tenant
        await pool.give(slots[1])
        again = await asyncio.wait_for(pool.take(), 5)
        assert (fresh.index, again.index) == (slots[0].index, slots[1].index)
        assert machine.tcp(fresh, PUBLIC4, 80) == "open"


async def test_killed_agent_leaves_only_what_a_sandbox_uses(machine: Machine) -> None:
    holder, index, user = _hold()
    try:
        holder.kill()
        holder.wait()
        await until(lambda: remains() == [f"{INSTANCE}-{index}", INSTANCE], f"idle slots stayed: {remains()}")
        pool = NetworkPool(pool_config())
        adopted = pool.adopt(index)
        await pool.open()
        assert len({(await pool.take()).index for _ in range(5)} | {index}) == 6
        used = NetworkSlot(index, "", f"/proc/{user}/ns/net", "", "", "", "")
        assert machine.tcp(used, PUBLIC4, 80) == "open"
        assert machine.tcp(used, MACHINE4, 8000) == "refused"
        os.kill(user, signal.SIGKILL)
        await pool.give(adopted)
        fresh = await asyncio.wait_for(pool.take(), 5)
        assert fresh.index == index
        assert machine.tcp(fresh, PUBLIC4, 80) == "open"
        await pool.close(everything=True)
    finally:
        _end(user)
    assert remains() == []
    assert not forwarding_record().exists()


@pytest.mark.usefixtures("machine")
async def test_sandbox_that_ends_after_its_agent_takes_its_network_along() -> None:
    holder, index, user = _hold()
    holder.kill()
    holder.wait()
    assert f"{INSTANCE}-{index}" in remains()
    _end(user)
    await until(lambda: remains() == [INSTANCE], f"stayed: {remains()}")
    await NetworkPool(pool_config()).close(everything=True)
    assert remains() == []


@pytest.mark.usefixtures("machine")
async def test_fresh_process_removes_everything() -> None:
    holder, _, user = _hold()
    try:
        assert sysctl.read(UPLINK4) == "1"
        holder.kill()
        holder.wait()
        await NetworkPool(pool_config()).close(everything=True)
        assert remains() == []
        assert (sysctl.read(UPLINK4), sysctl.read(UPLINK6)) == ("0", "0")
        assert not forwarding_record().exists()
        await NetworkPool(pool_config()).close(everything=True)  # again: no effect
    finally:
        _end(user)


async def test_close_leaves_running_sandboxes_their_network(machine: Machine) -> None:
    pool = NetworkPool(pool_config())
    await pool.open()
    slot = await pool.take()
    with machine.connect(slot, PUBLIC4, 80) as client:
        await pool.close(everything=False)
        assert remains() == [slot.interface, INSTANCE]
        assert client.recv(100).decode().strip() == MACHINE4
        client.send(b"still there")
    await NetworkPool(pool_config()).close(everything=True)
    assert remains() == []


@pytest.mark.usefixtures("machine")
async def test_forwarding_is_switched_on_narrowly_and_put_back_by_the_last() -> None:
    keys = (UPLINK4, UPLINK6)
    async with opened():
        assert [sysctl.read(key) for key in keys] == ["1", "1"]
        assert sysctl.read("net/ipv4/ip_forward") == "0"
        assert sysctl.read("net/ipv6/conf/all/forwarding") == "0"
        async with opened(instance="nt2", network4="10.214.0.0/24", network6="fd6d:6167:7301::/64"):
            pass
        assert [sysctl.read(key) for key in keys] == ["1", "1"]
    assert [sysctl.read(key) for key in keys] == ["0", "0"]


async def test_forwarding_on_kernels_without_a_switch_per_interface(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    exists = sysctl.exists
    monkeypatch.setattr(sysctl, "exists", lambda key: "force_forwarding" not in key and exists(key))
    sysctl.write("net/ipv6/conf/up0/accept_ra", "1")
    async with opened() as pool:
        assert machine.tcp(await pool.take(), PUBLIC6, 80) == "open"
        assert sysctl.read("net/ipv6/conf/up0/accept_ra") == "2"
    assert sysctl.read("net/ipv6/conf/all/forwarding") == "0"
    assert sysctl.read("net/ipv6/conf/up0/forwarding") == "0"
    assert sysctl.read("net/ipv6/conf/up0/accept_ra") == "1"


@pytest.mark.usefixtures("machine")
async def test_forwarding_that_was_on_stays_on() -> None:
    sysctl.write("net/ipv4/ip_forward", "1")
    async with opened():
        pass
    assert sysctl.read(UPLINK4) == "1"


@pytest.mark.usefixtures("machine")
async def test_equal_rules_are_left_alone() -> None:
    handles = []
    for settings in ({}, {}, {"connections_limit": 5}):
        pool = NetworkPool(pool_config(**settings))
        await pool.open()
        handles.append(_handle())
        await pool.close(everything=False)
    assert handles[0] == handles[1] != handles[2]
    await NetworkPool(pool_config()).close(everything=True)


@pytest.mark.usefixtures("machine")
async def test_network_that_is_in_use_is_refused() -> None:
    iproute.batch(["link add busy type veth peer name peer", "address add 10.213.0.77/24 dev busy"])
    pool = NetworkPool(pool_config())
    with pytest.raises(ConfigError, match=r"used by busy"):
        await pool.open()
    await pool.close(everything=True)
    assert remains() == []


@pytest.mark.usefixtures("machine")
async def test_slot_is_adopted_before_open_only() -> None:
    async with opened() as pool:
        with pytest.raises(DriverError):
            pool.adopt(0)


@pytest.mark.usefixtures("machine")
async def test_other_instance_with_a_longer_name_is_not_touched() -> None:
    async with opened(instance="nt1", network4="10.214.0.0/24", network6="fd6d:6167:7301::/64"):
        async with opened(instance="nt"):
            pass
        assert len(remains("nt1")) == 7


async def test_pool_of_twenty_fills_in_two_seconds(machine: Machine) -> None:
    began = time.monotonic()
    async with opened(sandboxes=16):
        assert time.monotonic() - began < 2
    assert netns.current() > 0
    assert machine.home


def test_packages_install_through_the_real_uplink(tmp_path: Path) -> None:
    """The one test on the machine's own network: the registry that pip is set up for answers a sandbox."""
    asyncio.run(_download(tmp_path))
    assert list(tmp_path.glob("six-*.whl"))


async def _download(target: Path) -> None:
    number = os.getpid() % 200
    config = pool_config(
        instance=f"n{os.getpid():x}"[:8],
        network4=f"10.217.{number}.0/24",
        network6=f"fd6d:6167:{0x6000 + number:x}::/64",
        resolvers="",
    )
    pool = NetworkPool(config)
    await pool.open()
    try:
        slot = await pool.take()
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-cache-dir", "--no-deps"]
        command = ["nsenter", f"--net={slot.netns_path}", "--", *pip, "--dest", str(target), "six"]
        done = await asyncio.create_subprocess_exec(*command)
        assert await done.wait() == 0
        assert _received_bytes(slot) > 1000, "the package did not come through the slot"
    finally:
        await pool.close(everything=True)


def _received_bytes(slot: NetworkSlot) -> int:
    lines = Path("/proc/net/dev").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.split()[0] == f"{slot.interface}:")


def _hold() -> tuple[subprocess.Popen[str], int, int]:
    command = [sys.executable, "-m", "tests.privileged.hold_pool"]
    holder = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder.stdout:
        index, user = holder.stdout.readline().split()
    return holder, int(index), int(user)


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _handle() -> int:
    """Changes when the table is made anew."""
    command = ["nft", "--json", "list", "tables"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    tables = [item["table"] for item in listed["nftables"] if "table" in item]
    return next(table["handle"] for table in tables if table["name"] == INSTANCE)
