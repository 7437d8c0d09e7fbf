"""Requests through the gateway and the data port into a real sandbox, beside Caddy (where it is installed) to
the same server by its address, and beside no proxy at all. In turns; as root; without a running stack.

    python -m bench.gateway [--seconds 4]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.common import ROOT, Figures, figures, save
from hostagent import identity, images
from hostagent.config import Config
from hostagent.drivers.base import RunSpec, SandboxSpec
from hostagent.drivers.oci import OciDriver
from hostagent.drivers.statefs import close_state
from hostagent.identity import Identity
from tests.dataport.signer import HOST_ID, Signer
from tests.gateway.doubles import KEY, ControlPlaneServer
from tests.privileged.data_ports import write_record

SANDBOX_ID = "benchgateway0001"
PORT = 8000
BODY = "x" * 512
SERVER = f"""#!/usr/bin/env node
const body = "{BODY}";
require("http").createServer((_, answer) => {{
  answer.writeHead(200, {{"Content-Length": body.length}});
  answer.end(body);
}}).listen({PORT}, "0.0.0.0");
"""
HOST = "app.apps.localhost"
CONNECTIONS = 32
ONE_BY_ONE = 1000
ROUNDS = 2


@dataclass(frozen=True)
class Way:
    """How a request gets to the server."""

    name: str
    address: str
    port: int


async def ask(way: Way, until: float, count: int) -> list[float]:
    """Requests on one kept connection; ms of each."""
    reader, writer = await asyncio.open_connection(way.address, way.port)
    request = f"GET /path?query=1 HTTP/1.1\r\nHost: {HOST}\r\nAccept: */*\r\n\r\n".encode()
    took = []
    while len(took) < count and time.perf_counter() < until:
        begun = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"{way.name}: {head[:100]!r}")
        await reader.readexactly(len(BODY))
        took.append((time.perf_counter() - begun) * 1000)
    writer.close()
    return took


async def crowd(way: Way, seconds: float) -> tuple[list[float], float]:
    """Latencies of many at once, and how many requests a second they got."""
    begun = time.perf_counter()
    end = begun + seconds
    answers = await asyncio.gather(*(ask(way, end, sys.maxsize) for _ in range(CONNECTIONS)))
    took = [ms for answer in answers for ms in answer]
    return took, len(took) / (time.perf_counter() - begun)


async def measure(ways: list[Way], seconds: float) -> tuple[list[Figures], dict[str, object]]:
    single: dict[str, list[float]] = {way.name: [] for way in ways}
    many: dict[str, list[float]] = {way.name: [] for way in ways}
    rates: dict[str, list[float]] = {way.name: [] for way in ways}
    for _ in range(ROUNDS):
        for way in ways:
            await ask(way, time.perf_counter() + 30, 100)  # warm
            single[way.name] += await ask(way, time.perf_counter() + 30, ONE_BY_ONE)
            took, rate = await crowd(way, seconds)
            many[way.name] += took
            rates[way.name].append(rate)
    series = [figures(f"{way.name}, one by one", single[way.name]) for way in ways]
    series += [figures(f"{way.name}, {CONNECTIONS} at once", many[way.name]) for way in ways]
    return series, {f"{name}, requests/s": round(max(found)) for name, found in rates.items()}


@asynccontextmanager
async def sandbox(config: Config) -> AsyncIterator[str]:
    """The address of a sandbox in which the server runs."""
    images.ensure(config, "standard", lambda _: None)
    driver = OciDriver(config)
    await driver.open()
    try:
        await driver.create(SandboxSpec(SANDBOX_ID, "u1", "standard", b"", is_held=True))
        await driver.start(SANDBOX_ID)
        write_record(config, SANDBOX_ID)
        run = RunSpec(SANDBOX_ID, "benchserver", SERVER.encode())
        await driver.runs.create(run)
        await driver.runs.start(run.key)
        address = driver.host.slots[SANDBOX_ID].address4
        await listening(address, PORT)
        yield address
    finally:
        await driver.close(everything=True)
        close_state(config)


async def listening(address: str, port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection(address, port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


@contextmanager
def process(*command: str, **environment: object) -> Iterator[None]:
    variables = {**os.environ, **{name: str(value) for name, value in environment.items()}}
    child = subprocess.Popen(command, cwd=ROOT, env=variables, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        child.terminate()
        child.wait(30)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def caddy(address: str, directory: Path) -> Iterator[list[Way]]:
    """None where it is not installed."""
    if not shutil.which("caddy"):
        yield []
        return
    port = free_port()
    upstream = {"handler": "reverse_proxy", "upstreams": [{"dial": f"{address}:{PORT}"}]}
    server = {"listen": [f"127.0.0.1:{port}"], "routes": [{"handle": [upstream]}]}
    config = {"admin": {"disabled": True}, "apps": {"http": {"servers": {"one": server}}}}
    (directory / "caddy.json").write_text(json.dumps(config))
    with process("caddy", "run", "--config", str(directory / "caddy.json"), HOME=directory):
        yield [Way("Caddy", "127.0.0.1", port)]


@asynccontextmanager
async def gateway(config: Config, control: ControlPlaneServer) -> AsyncIterator[Way]:
    signer, data_port, port = Signer(), free_port(), free_port()
    signer.publish(config.state_dir)
    identity.save(config.state_dir, Identity(HOST_ID, "-" * 16, ""))
    ticket = signer.ticket(SANDBOX_ID, PORT)
    control.run("app", data_port, PORT, sandbox_id=SANDBOX_ID, ticket=ticket)
    agent = {
        f"MAGS_AGENT_{name.upper()}": getattr(config, name)
        for name in ("state_dir", "instance", "network4", "network6")
    }
    own = {"MAGS_GATEWAY_CONTROL_URL": f"http://127.0.0.1:{control.port}", "MAGS_GATEWAY_KEY": KEY}
    with (
        process(sys.executable, "-m", "hostagent", "data", **agent, MAGS_DATA_PORT_PORT=data_port),
        process(sys.executable, "-m", "gateway", **own, MAGS_GATEWAY_PORT=port),
    ):
        await listening("127.0.0.1", data_port)
        await listening("127.0.0.1", port)
        yield Way("gateway", "127.0.0.1", port)


async def main(seconds: float) -> tuple[list[Figures], dict[str, object]]:
    with tempfile.TemporaryDirectory(prefix="mags-bench-", dir="/var/tmp") as name:
        directory = Path(name)
        config = Config(
            state_dir=directory,
            instance="gwbench",
            sandboxes=2,
            network4="10.219.250.0/24",
            network6="fd6d:6167:fabe::/64",
            image_cache_dir=ROOT / "var/cache/images",
        )
        async with sandbox(config) as address, ControlPlaneServer() as control:
            with caddy(address, directory) as theirs:
                for way in theirs:
                    await listening(way.address, way.port)
                async with gateway(config, control) as ours:
                    return await measure([Way("no proxy", address, PORT), *theirs, ours], seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found, notes = runner.run(main(arguments.seconds))
    if not shutil.which("caddy"):
        notes["Caddy"] = "not measured: it is not installed (apt-get install caddy)"
    notes["server"] = "Node in the sandbox, 512 bytes; client, proxies and server share the machine's cores"
    save("gateway", found, notes)
