"""`python -m gateway` as a process: its settings, its end, and those who only hold connections."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway import settings
from gateway.settings import Settings, SettingsError
from hostagent.dataport import settings as data_settings
from tests.gateway.backends import Backend
from tests.gateway.doubles import KEY, ControlPlaneServer, PlainDataPort
from tests.gateway.visiting import visited

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Running:
    process: asyncio.subprocess.Process
    port: int
    lines: list[str]

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextlib.asynccontextmanager
async def running(control: ControlPlaneServer, **changes: Any) -> AsyncIterator[Running]:
    values = {"control_url": f"http://127.0.0.1:{control.port}", "key": KEY, "port": 0, **changes}
    environ = {**os.environ, **{f"MAGS_GATEWAY_{k.upper()}": str(v) for k, v in values.items()}}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", cwd=ROOT, env=environ, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    lines: list[str] = []
    async with asyncio.timeout(20):
        while not (lines and "event=serving" in lines[-1]):
            lines.append((await process.stderr.readline()).decode())
    found = re.search(r"port=(\d+)", lines[-1])
    assert found is not None

    async def read(stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            lines.append(line.decode())

    reading = asyncio.create_task(read(process.stderr))
    try:
        yield Running(process, int(found[1]), lines)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


HOST = {"Host": "app.apps.localhost"}


async def test_stop_lets_open_requests_end_and_takes_no_new_ones(
    control: ControlPlaneServer, data_port: PlainDataPort, inside: Backend
) -> None:
    control.run("app", data_port.port, inside.port)
    async with running(control, grace_s=20) as gateway, aiohttp.ClientSession() as client:
        async with client.get(gateway.url("/x?secret=1"), headers=HOST) as answer:
            assert answer.status == 200
        slow = asyncio.create_task(_text(client, gateway.url("/slow")))
        async with asyncio.timeout(10), client.get(gateway.url("/events"), headers=HOST) as events:
            await events.content.readany()
            gateway.process.send_signal(signal.SIGTERM)
            await _refused(gateway.port)
            inside.may_go_on.set()
            assert await slow == "late"
            assert await events.content.readany() == b"data: two\n\n"
        async with asyncio.timeout(10):
            assert await gateway.process.wait() == 0
    log = "".join(gateway.lines)
    assert re.search(r"event=request .*label=app method=GET path=/x status=200", log)
    assert "secret" not in log


async def test_stop_does_not_wait_longer_than_its_grace(
    control: ControlPlaneServer, data_port: PlainDataPort, inside: Backend
) -> None:
    control.run("app", data_port.port, inside.port)
    async with (
        running(control, grace_s=0.2) as gateway,
        aiohttp.ClientSession() as client,
        client.get(gateway.url("/events"), headers=HOST) as events,
    ):
        await events.content.readany()
        gateway.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await gateway.process.wait() == 0
        with pytest.raises(aiohttp.ClientError):
            await events.content.read()


async def _text(client: aiohttp.ClientSession, url: str) -> str:
    async with client.get(url, headers=HOST) as answer:
        return await answer.text()


async def _refused(port: int) -> None:
    """Wait until nobody is let in any more."""
    # Reset: it had waited to be accepted when the door was closed.
    with contextlib.suppress(ConnectionRefusedError, ConnectionResetError):
        while True:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await asyncio.sleep(0.02)


async def test_slow_heads_and_silent_connections_are_closed(
    control: ControlPlaneServer, data_port: PlainDataPort, inside: Backend
) -> None:
    control.run("app", data_port.port, inside.port)
    async with visited(control, head_s=0.3, body_quiet_s=0.3) as site:
        assert await site.raw(b"") == b""
        assert await site.raw(b"GET / HTTP/1.1\r\nHost: app.apps.localhost\r\nX-A: ") == b""
        answer = await site.raw(
            b"POST /upload HTTP/1.1\r\nHost: app.apps.localhost\r\nContent-Length: 9\r\n\r\nhalf"
        )
        assert answer.startswith(b"HTTP/1.1 408 ")


async def test_server_that_never_answers(
    control: ControlPlaneServer, data_port: PlainDataPort, inside: Backend
) -> None:
    control.run("app", data_port.port, inside.port)
    async with visited(control, answer_s=0.2) as site, site.ask("GET", "/slow") as answer:
        assert (answer.status, (await answer.json())["code"]) == (504, "answer_timeout")


async def test_too_many_connections_from_one_address(
    control: ControlPlaneServer, data_port: PlainDataPort, inside: Backend
) -> None:
    control.run("app", data_port.port, inside.port)
    async with visited(control, address_connections_limit=2) as site:
        held = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(2)]
        request = b"GET / HTTP/1.1\r\nHost: app.apps.localhost\r\nConnection: close\r\n\r\n"
        assert await site.raw(request) == b""
        for _, writer in held:
            writer.close()
        async with asyncio.timeout(10):
            while not await site.raw(request):
                pass
    async with visited(control, address_connections_limit=0, trusted_proxies="127.0.0.1/32") as site:
        assert (await site.raw(request)).startswith(b"HTTP/1.1 200 ")


def test_settings_are_read_and_checked(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file\n")
    environ = {"MAGS_GATEWAY_KEY_FILE": str(tmp_path / "key"), "MAGS_GATEWAY_WAKE_S": "5", "OTHER": "x"}
    found = settings.load(environ)
    assert (found.key, found.wake_s, found.port) == ("from a file", 5.0, 8081)
    for name, value in (("PORT", "x"), ("NOBODY", "1"), ("TRUSTED_PROXIES", "10.0.0.1/8"), ("KEY", "")):
        with pytest.raises(SettingsError, match=name):
            settings.load({**environ, f"MAGS_GATEWAY_{name}": value} if name != "KEY" else {})


@pytest.mark.parametrize(
    ("page", "prefix", "kind"),
    [
        ("gateway.md", settings.PREFIX, Settings),
        ("data-port.md", data_settings.PREFIX, data_settings.Settings),
    ],
)
def test_every_setting_is_documented_with_its_default(page: str, prefix: str, kind: Any) -> None:
    text = (ROOT / "docs/reference" / page).read_text()
    documented = dict(re.findall(rf"^\| `{prefix}([A-Z_]+)` \| (?:`([^`]*)`)?", text, re.MULTILINE))
    assert documented == {f.name.upper(): str(f.default) for f in fields(kind)}
