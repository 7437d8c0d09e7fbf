"""Run scripts in sandboxes and look at what came out."""

from __future__ import annotations

import asyncio
import json
import secrets
import string
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hostagent.drivers.base import Exit, RunSpec, SandboxSpec
from hostagent.drivers.oci import OciDriver
from hostagent.linux import notify

PROBES = Path(__file__).parent / "probes"


def new_id() -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(16))


def make_spec(script: str | bytes, **values: Any) -> SandboxSpec:
    data = script.encode() if isinstance(script, str) else script
    return SandboxSpec(
        **({"sandbox_id": new_id(), "tenant": "u1", "image": "standard", "script": data} | values)
    )


@dataclass(frozen=True)
class Output:
    """A spool, read: conmon's lines are `<time> <stream> <F|P> <bytes>`, P where no newline followed."""

    stdout: bytes
    stderr: bytes

    @classmethod
    def read(cls, spool: Path) -> Output:
        streams: dict[bytes, list[bytes]] = {b"stdout": [], b"stderr": []}
        for line in spool.read_bytes().split(b"\n")[:-1]:
            _time, stream, tag, data = line.split(b" ", 3)
            streams[stream].append(data + (b"\n" if tag == b"F" else b""))
        return cls(b"".join(streams[b"stdout"]), b"".join(streams[b"stderr"]))

    @property
    def text(self) -> str:
        return (self.stdout + self.stderr).decode(errors="replace")


@dataclass(frozen=True)
class Run:
    exit: Exit
    output: Output


class Sandboxes:
    def __init__(self, driver: OciDriver) -> None:
        self.driver = driver

    @asynccontextmanager
    async def started(self, script: str | bytes, **values: Any) -> AsyncIterator[str]:
        """The id of a sandbox that runs `script`; destroyed at the end."""
        spec = make_spec(script, **values)
        await self.driver.create(spec)
        try:
            await self.driver.start(spec.sandbox_id)
            yield spec.sandbox_id
        finally:
            await self.driver.destroy(spec.sandbox_id)

    async def run(self, script: str | bytes, *, timeout_s: float = 60, **values: Any) -> Run:
        async with self.started(script, **values) as sandbox_id:
            exit_ = await asyncio.wait_for(self.driver.wait(sandbox_id), timeout_s)
            return Run(exit_, Output.read(self.driver.spool_path(sandbox_id)))

    async def probe(self, name: str, *arguments: str, **values: Any) -> Any:
        """Run a Python program from probes/ inside; answers the JSON it prints."""
        return read_probe(await self.run(**probe(name, *arguments, **values)))

    async def says(self, sandbox_id: str, text: bytes, timeout_s: float = 30) -> Output:
        """Wait until the sandbox's output holds `text`."""
        return await says(self.driver.spool_path(sandbox_id), text, timeout_s)

    @asynccontextmanager
    async def held(self, **values: Any) -> AsyncIterator[Held]:
        """A sandbox in which runs can start."""
        async with self.started(b"", is_held=True, **values) as sandbox_id:
            yield Held(self.driver, sandbox_id)


class Held:
    """A held sandbox and its runs."""

    def __init__(self, driver: OciDriver, sandbox_id: str) -> None:
        self.driver = driver
        self.runs = driver.runs
        self.sandbox_id = sandbox_id

    def spec(self, script: str | bytes, **values: Any) -> RunSpec:
        data = script.encode() if isinstance(script, str) else script
        return RunSpec(**({"sandbox_id": self.sandbox_id, "run_id": new_id(), "script": data} | values))

    @asynccontextmanager
    async def started(self, script: str | bytes, **values: Any) -> AsyncIterator[str]:
        """The key of a run; destroyed at the end."""
        spec = self.spec(script, **values)
        await self.runs.create(spec)
        try:
            await self.runs.start(spec.key)
            yield spec.key
        finally:
            await self.runs.destroy(spec.key)

    async def run(self, script: str | bytes, *, timeout_s: float = 60, **values: Any) -> Run:
        async with self.started(script, **values) as key:
            return await self.ended(key, timeout_s)

    async def ended(self, key: str, timeout_s: float = 60) -> Run:
        exit_ = await asyncio.wait_for(self.runs.wait(key), timeout_s)
        return Run(exit_, Output.read(self.runs.spool_path(key)))

    async def probe(self, name: str, *arguments: str, **values: Any) -> Any:
        return read_probe(await self.run(**probe(name, *arguments, **values)))

    async def says(self, key: str, text: bytes, timeout_s: float = 30) -> Output:
        return await says(self.runs.spool_path(key), text, timeout_s)


def probe(name: str, *arguments: str, **values: Any) -> dict[str, Any]:
    code = (PROBES / f"{name}.py").read_bytes()
    environment = {"PROBE": json.dumps(arguments), **values.pop("environment", {})}
    return {"script": b"#!/usr/bin/python3\n" + code, "environment": environment, **values}


def read_probe(run: Run) -> Any:
    assert run.exit.exit_code == 0, run.output.text
    return json.loads(run.output.stdout)


async def says(spool: Path, text: bytes, timeout_s: float = 30) -> Output:
    """Wait until the output in `spool` holds `text`."""
    async with asyncio.timeout(timeout_s):
        with notify.shared().subscribe(spool.parent, notify.MODIFY) as changes:
            while text not in (output := Output.read(spool)).stdout + output.stderr:
                await changes.wait()
    return output
