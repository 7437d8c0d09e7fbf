"""The data port against a real sandbox: what it reaches, and what it refuses to reach."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import jwt
import pytest
import pytest_asyncio

from gateway.dial import Target, dial
from gateway.errors import GatewayError, NothingListens, RefusedByHost
from hostagent import control, identity
from hostagent.config import Config
from hostagent.drivers.oci import OciDriver
from hostagent.holdings import HeldPhase
from hostagent.identity import Identity
from hostagent.linux import cgroup
from tests.dataport.signer import HOST_ID, Signer
from tests.privileged.data_ports import Ported, data_port, start_process, write_record
from tests.privileged.leaks import no_leaks
from tests.privileged.sandbox import Held, Sandboxes, new_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

# One server for each address family and port: it echoes, and says which port it is.
SERVER = """#!/usr/bin/python3
import socket, sys, threading

def serve(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, port), family=family, backlog=512)
    while True:
        threading.Thread(target=echo, args=(listener.accept()[0], port), daemon=True).start()

def echo(sock, port):
    sock.sendall(b"%d " % port)
    while data := sock.recv(65536):
        sock.sendall(data)
    sock.sendall(b"bye")
    sock.close()

own4 = open("/etc/hosts").read().split()[-4]
own6 = open("/etc/hosts").read().split()[-2]
for number, address in enumerate(("127.0.0.1", "::1", "0.0.0.0", own4, own6)):
    threading.Thread(target=serve, args=(address, 9001 + number), daemon=True).start()
print("serving", flush=True)
threading.Event().wait()
"""
PORTS = {"127.0.0.1": 9001, "::1": 9002, "any": 9003, "own IPv4": 9004, "own IPv6": 9005}


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
        async with held.started(SERVER) as key:
            await held.says(key, b"serving")
            yield held


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ported(config: Config, driver: OciDriver) -> AsyncIterator[Ported]:
    async with data_port(config) as ported:
        yield ported


async def talk(target: Target, text: bytes = b"hello") -> bytes:
    """Send, half-close, and read to the end."""
    loop = asyncio.get_running_loop()
    sock, data = await dial(target, 5, 10)
    with sock:
        await loop.sock_sendall(sock, text)
        sock.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(20):
            while part := await loop.sock_recv(sock, 65536):
                data += part
    return data


async def refusal(target: Target) -> str:
    with pytest.raises(GatewayError) as caught:
        await talk(target)
    return caught.value.code


@pytest.mark.parametrize("where", PORTS)
async def test_server_is_found_wherever_it_listens(ported: Ported, held: Held, where: str) -> None:
    port = PORTS[where]
    assert await talk(ported.target(held.sandbox_id, port)) == b"%d hellobye" % port


async def test_half_close_and_a_large_echo(ported: Ported, held: Held) -> None:
    loop = asyncio.get_running_loop()
    text = bytes(range(256)) * 4096 * 8
    sock, data = await dial(ported.target(held.sandbox_id, 9001), 5, 10)
    with sock:

        async def send() -> None:
            await loop.sock_sendall(sock, text)
            sock.shutdown(socket.SHUT_WR)

        sending = asyncio.create_task(send())
        while part := await loop.sock_recv(sock, 65536):
            data += part
        await sending
    assert data == b"9001 " + text + b"bye"


async def test_nothing_listens(ported: Ported, held: Held) -> None:
    with pytest.raises(NothingListens, match="port 9999"):
        await talk(ported.target(held.sandbox_id, 9999))


async def test_hosts_own_ports_are_not_reached(ported: Ported, held: Held) -> None:
    """A canary that listens on every address of the host."""
    canary = await asyncio.start_server(lambda _r, w: w.close(), None, 0, family=socket.AF_INET)
    port = canary.sockets[0].getsockname()[1]
    async with canary:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""  # it can be reached from here
        writer.close()
        await writer.wait_closed()
        assert await refusal(ported.target(held.sandbox_id, port)) == "nothing_listens"
        assert await refusal(ported.target(held.sandbox_id, ported.port.port)) == "nothing_listens"


BAD_TICKETS: dict[str, dict[str, Any]] = {
    "expired": {"exp": 1_000_000_000},
    "without an end": {"exp": None},
    "of another host": {"aud": "host-2"},
    "of nobody": {"iss": "somebody"},
    "of another sandbox": {"sub": "a" * 16},
    "of another port": {"port": 9002},
    "for SSH": {"port": "ssh"},
    "for a port that is none": {"port": "9001"},
    "of an older epoch": {"epoch": 7},
}


@pytest.mark.parametrize("what", BAD_TICKETS)
async def test_bad_ticket_is_refused(ported: Ported, held: Held, what: str) -> None:
    ticket = ported.signer.ticket(held.sandbox_id, 9001, **BAD_TICKETS[what])
    with pytest.raises(RefusedByHost) as caught:
        await talk(ported.target(held.sandbox_id, 9001, ticket))
    expected = {"expired": "ticket_expired", "of an older epoch": "no_sandbox"}
    others = (
        "not_allowed"
        if "another sandbox" in what or "another port" in what or "SSH" in what
        else "bad_ticket"
    )
    assert caught.value.code == expected.get(what, others)


async def test_forged_tickets_are_refused(ported: Ported, held: Held) -> None:
    claims = ported.signer.claims(held.sandbox_id, 9001)
    unsigned = jwt.encode(claims, None, algorithm="none", headers={"kid": "k1"})
    public = ported.signer.key.public_key().public_bytes_raw()
    symmetric = jwt.encode(claims, public, algorithm="HS256", headers={"kid": "k1"})
    forged = Signer("k1").ticket(held.sandbox_id, 9001)
    unknown = Signer("k2").ticket(held.sandbox_id, 9001)
    good = ported.signer.ticket(held.sandbox_id, 9001)
    changed = good[:-4] + ("AAAA" if not good.endswith("AAAA") else "BBBB")
    for ticket in (unsigned, symmetric, forged, unknown, changed, "x", "a.b.c"):
        assert await refusal(ported.target(held.sandbox_id, 9001, ticket)) == "bad_ticket"
    assert await talk(ported.target(held.sandbox_id, 9001, good)) == b"9001 hellobye"


async def test_port_22_takes_only_tickets_for_ssh(ported: Ported, held: Held) -> None:
    ticket = ported.signer.ticket(held.sandbox_id, 22)
    assert await refusal(ported.target(held.sandbox_id, 22, ticket)) == "not_allowed"


async def test_keys_are_replaced_while_it_runs(ported: Ported, held: Held) -> None:
    successor = Signer("k2")
    ported.signer.publish(ported.config.state_dir, successor)
    for signer in (ported.signer, successor):
        ticket = signer.ticket(held.sandbox_id, 9001)
        assert await talk(ported.target(held.sandbox_id, 9001, ticket)) == b"9001 hellobye"
    ported.signer.publish(ported.config.state_dir)
    assert (
        await refusal(ported.target(held.sandbox_id, 9001, successor.ticket(held.sandbox_id, 9001)))
        == "bad_ticket"
    )


@pytest.mark.parametrize("phase", [HeldPhase.ENDING, HeldPhase.FENCED, HeldPhase.SAVED])
async def test_sandbox_that_is_not_ours_any_more(ported: Ported, held: Held, phase: HeldPhase) -> None:
    write_record(ported.config, held.sandbox_id, phase)
    try:
        assert await refusal(ported.target(held.sandbox_id, 9001)) == "no_sandbox"
    finally:
        write_record(ported.config, held.sandbox_id)


async def test_unknown_sandbox_and_reused_pid(ported: Ported, held: Held) -> None:
    assert await refusal(ported.target(new_id(), 9001)) == "no_sandbox"
    pid_file = ported.config.state_dir / "fs/sandboxes" / held.sandbox_id / "pid"
    pid = pid_file.read_text()
    pid_file.write_text("1")  # a process of the host
    try:
        assert await refusal(ported.target(held.sandbox_id, 9001)) == "no_sandbox"
    finally:
        pid_file.write_text(pid)


async def test_frozen_sandbox_is_woken_by_the_agent(
    ported: Ported, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hostagent.dataport.waking.AGENT_BACK_S", 0.0)
    driver, sandbox_id = held.driver, held.sandbox_id
    await driver.freeze(sandbox_id)
    assert await refusal(ported.target(sandbox_id, 9001)) == "not_awake"  # no agent
    asked: list[str] = []

    async def agent(line: str) -> dict[str, Any]:
        asked.append(line)
        if len(asked) == 1:
            return {"error": "the host is draining"}
        cgroup.thaw(driver.host.groups, driver.host.group(sandbox_id))
        return {"awake": True}

    async with control.serve(ported.config.state_dir, agent):
        with pytest.raises(RefusedByHost, match="draining"):
            await talk(ported.target(sandbox_id, 9001))
        answers = await asyncio.gather(*(talk(ported.target(sandbox_id, 9001)) for _ in range(20)))
    assert answers == [b"9001 hellobye"] * 20
    assert asked == [f"wake {sandbox_id}"] * 2  # one for all of them


async def test_bytes_on_an_old_connection_wake_too(
    ported: Ported, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hostagent.dataport.connections.QUIET_S", 0.0)
    driver, sandbox_id = held.driver, held.sandbox_id
    loop = asyncio.get_running_loop()

    async def agent(_line: str) -> dict[str, Any]:
        cgroup.thaw(driver.host.groups, driver.host.group(sandbox_id))
        return {"awake": True}

    sock, _ = await dial(ported.target(sandbox_id, 9001), 5, 10)
    with sock:
        await driver.freeze(sandbox_id)
        async with control.serve(ported.config.state_dir, agent), asyncio.timeout(20):
            await loop.sock_sendall(sock, b"wake up")
            data = b""
            while b"wake up" not in data:
                data += await loop.sock_recv(sock, 100)


async def test_evidence_and_closing(ported: Ported, held: Held) -> None:
    loop = asyncio.get_running_loop()
    sock, _ = await dial(ported.target(held.sandbox_id, 9001), 5, 10)
    with sock:
        assert await loop.sock_recv(sock, 100) == b"9001 "
        directory = ported.config.state_dir / "data-port"
        answer = await control.ask(directory, "connections")
        assert answer["sandboxes"][held.sandbox_id]["tcp"] == 1
        assert await control.ask(directory, f"close {held.sandbox_id} ssh") == {"closed": 0}
        assert await control.ask(directory, f"close {held.sandbox_id} tcp") == {"closed": 1}
        with pytest.raises(ConnectionResetError):
            await loop.sock_recv(sock, 100)


async def test_process_that_was_killed_is_replaced(ported: Ported, held: Held, driver: OciDriver) -> None:
    """As a supervisor would: by the port and the state that the next one finds."""
    config = ported.config
    identity.save(config.state_dir, Identity(HOST_ID, "-" * 16, ""))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    target = replace(ported.target(held.sandbox_id, 9001), data_port=port)
    for _ in range(2):
        process = await start_process(config, port)
        sock, _ = await dial(target, 5, 10)
        with sock:
            process.kill()
            await process.wait()
            with contextlib.suppress(ConnectionResetError):
                while await asyncio.get_running_loop().sock_recv(sock, 100):
                    pass
    process = await start_process(config, port)
    assert await talk(target) == b"9001 hellobye"
    process.terminate()
    assert await process.wait() == 0
    (config.state_dir / identity.IDENTITY).unlink()
