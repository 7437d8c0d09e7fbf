"""Execs while the data port is killed: they go on, and its successor goes on with them."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import msgspec
import pytest_asyncio

from execwire.frames import Open, Outcome, Stdin, StdinEnd
from hostagent import identity
from hostagent.config import Config
from hostagent.drivers.oci import OciDriver
from hostagent.identity import Identity
from tests.dataport.signer import HOST_ID, Signer
from tests.privileged.data_ports import start_process, write_record
from tests.privileged.execs import Caller, opening
from tests.privileged.sandbox import Held, Sandboxes


@pytest_asyncio.fixture
async def held(driver: OciDriver, config: Config) -> AsyncIterator[Held]:
    async with Sandboxes(driver).held(memory_mb=256) as held:
        write_record(config, held.sandbox_id)
        yield held


async def test_killed_data_port_loses_nothing(config: Config, held: Held) -> None:
    """Twice in the middle: output, input and time limits go on where they were; nothing starts again."""
    identity.save(config.state_dir, Identity(HOST_ID, "-" * 16, ""))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    signer = Signer()
    signer.publish(config.state_dir)
    caller = Caller(signer, held.sandbox_id, port)
    script = "echo x >> /root/starts; seq 1 20000; cat; seq 20001 60000; cat /root/starts"
    start, doomed = opening(script, has_stdin=True), opening("sleep 999", timeout_ms=1500)
    data, sent = b"", [b"one\n", b"two\n"]
    for part in sent:
        process = await start_process(config, port)
        async with caller.opened(doomed), caller.opened(replace_stdout(start, data)) as reader:
            await reader.connection.send(Stdin(part))
            await reader.until(part)
            process.kill()
            await process.wait()
        data += reader.data()
    process = await start_process(config, port)
    async with caller.opened(replace_stdout(start, data)) as reader:
        await reader.connection.send(StdinEnd())
        end = await reader.ended()
    data += reader.data()
    numbers = [b"".join(b"%d\n" % n for n in span) for span in (range(1, 20001), range(20001, 60001))]
    assert data == numbers[0] + b"one\ntwo\n" + numbers[1] + b"x\n"
    assert (end.outcome, end.exit_code, end.stdout) == (Outcome.EXITED, 0, len(data))
    assert (await caller.call(doomed)).end.outcome is Outcome.TIMED_OUT
    async with caller.opened(opening("echo up; sleep 999")) as reader:
        await reader.until(b"up")
        process.terminate()  # what runs goes on, and hinders nobody
        assert await process.wait() == 0
    (config.state_dir / identity.IDENTITY).unlink()


def replace_stdout(opening: Open, known: bytes) -> Open:
    return msgspec.structs.replace(opening, stdout=len(known))
