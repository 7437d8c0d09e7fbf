"""`echo ok` in a sandbox that is up: through the data port (the exec protocol, a connection for each), beside
bare `crun exec` and `docker exec` of the same image. In turns; as root; without a running stack.

    python -m bench.execs [--count 200]
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvloop

from bench.common import ROOT, Figures, figures, save
from bench.gateway import free_port, listening, process
from bench.rivals import DockerRival, docker_rival
from execwire import client
from execwire.client import Place
from execwire.frames import Open
from hostagent import identity, images
from hostagent.config import Config
from hostagent.drivers.base import SandboxSpec
from hostagent.drivers.oci import OciDriver
from hostagent.drivers.statefs import close_state
from hostagent.identity import Identity
from tests.dataport.signer import HOST_ID, Signer
from tests.privileged.data_ports import write_record

SANDBOX_ID = "benchexecs000001"
COMMAND = ["/bin/sh", "-lc", "echo ok"]
CONTAINER = "mags-bench-execs"
WARM = 10

Way = Callable[[int], Awaitable[bytes]]


def ours(place: Place) -> Way:
    async def way(number: int) -> bytes:
        result = await client.run(place, Open(f"bench{number:08}", command=b"echo ok"))
        if result.end.exit_code != 0:
            raise RuntimeError(f"exec failed: {result}")
        return result.stdout

    return way


def bare(driver: OciDriver) -> Way:
    async def way(_number: int) -> bytes:
        _code, output = await driver.host.runtime("exec", SANDBOX_ID, *COMMAND)
        return output.encode() + b"\n"

    return way


def docker(rival: DockerRival) -> Way:
    async def way(_number: int) -> bytes:
        command = [*rival.command, "exec", CONTAINER, *COMMAND]
        child = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        return (await child.communicate())[0]

    return way


async def measure(ways: dict[str, Way], count: int) -> list[Figures]:
    """One of each after the other, so that all see the same minutes."""
    took: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(WARM + count):
        for name, way in ways.items():
            begun = time.perf_counter()
            output = await way(number)
            if output != b"ok\n":
                raise RuntimeError(f"{name}: {output!r}")
            if number >= WARM:
                took[name].append((time.perf_counter() - begun) * 1000)
    return [figures(name, samples) for name, samples in took.items()]


@asynccontextmanager
async def sandbox(config: Config) -> AsyncIterator[OciDriver]:
    images.ensure(config, "standard", lambda _: None)
    driver = OciDriver(config)
    await driver.open()
    try:
        await driver.create(SandboxSpec(SANDBOX_ID, "u1", "standard", b"", is_held=True))
        await driver.start(SANDBOX_ID)
        write_record(config, SANDBOX_ID)
        yield driver
        await driver.destroy(SANDBOX_ID)
    finally:
        await driver.close(everything=True)
        close_state(config)


@contextmanager
def dockers(rootfs: Path) -> Iterator[dict[str, Way]]:
    """Nothing where it is not installed."""
    with docker_rival(rootfs) as rival:
        if rival is None:
            yield {}
            return
        start = ["run", "--detach", "--network", "none", "--name", CONTAINER, rival.TAG, "sleep", "infinity"]
        subprocess.run([*rival.command, *start], check=True, capture_output=True)
        try:
            yield {"docker exec": docker(rival)}
        finally:
            subprocess.run([*rival.command, "rm", "--force", CONTAINER], check=True, capture_output=True)


async def main(count: int) -> list[Figures]:
    with tempfile.TemporaryDirectory(prefix="mags-bench-", dir="/var/tmp") as name:
        config = Config(
            state_dir=Path(name),
            instance="exbench",
            sandboxes=2,
            network4="10.219.251.0/24",
            network6="fd6d:6167:fabd::/64",
            image_cache_dir=ROOT / "var/cache/images",
        )
        signer, port = Signer(), free_port()
        signer.publish(config.state_dir)
        identity.save(config.state_dir, Identity(HOST_ID, "-" * 16, ""))
        agent = {
            f"MAGS_AGENT_{name.upper()}": getattr(config, name)
            for name in ("state_dir", "instance", "network4", "network6")
        }
        async with sandbox(config) as driver:
            with process(sys.executable, "-m", "hostagent", "data", **agent, MAGS_DATA_PORT_PORT=port):
                await listening("127.0.0.1", port)
                place = Place("127.0.0.1", port, SANDBOX_ID, signer.ticket(SANDBOX_ID, "exec"))
                ways = {"data port": ours(place), "crun exec": bare(driver)}
                with dockers(driver.host.fs.images / "standard") as theirs:
                    return await measure(ways | theirs, count)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(main(arguments.count))
    notes: dict[str, object] = {"command": "sh -lc 'echo ok' in a sandbox that is up, one after the other"}
    if len(found) < 3:
        notes["docker exec"] = "not measured: docker.io is not installed"
    save("execs", found, notes)
