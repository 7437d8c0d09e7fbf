"""The Caddyfile that we ship, with Caddy's own authority instead of a public one."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import httpx
import pytest

from deploy.layout import ROOT
from tests.e2e.running import RunningStack
from tests.servers import free_ports

pytestmark = [
    pytest.mark.stack,
    pytest.mark.privileged,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not shutil.which("caddy"), reason="NO TLS TESTED: Caddy is not installed"),
]

LABEL = "tls-shop"
OPTIONS = """
	admin off
	local_certs
	skip_install_trust
	http_port {http}
	https_port {https}
	storage file_system {directory}
"""


class Proxy:
    """Caddy on a port of its own. Names are resolved here: all of them are this machine."""

    def __init__(self, stack: RunningStack, directory: Path) -> None:
        self.port, http_port = free_ports(2)
        self.config = directory / "Caddyfile"
        self._root = directory / "pki/authorities/local/root.crt"
        options = OPTIONS.format(http=http_port, https=self.port, directory=directory)
        text = (ROOT / "deploy/caddy/Caddyfile").read_text().replace("{\n", "{" + options, 1)
        for shipped, own in {
            "127.0.0.1:8080": f"127.0.0.1:{stack.layout.web_port}",
            "127.0.0.1:8081": f"127.0.0.1:{stack.layout.gateway_port}",
            "mags.example.org {": "localhost {",
            "*.apps.example.net": "*.apps.localhost",
        }.items():
            assert shipped in text
            text = text.replace(shipped, own)
        self.config.write_text(text)

    def trust(self) -> ssl.SSLContext:
        deadline = time.monotonic() + 30
        while not self._root.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return ssl.create_default_context(cafile=str(self._root))

    def get(self, name: str) -> httpx.Response:
        with httpx.Client(verify=self.trust(), trust_env=False, timeout=30) as client:
            headers = {"Host": f"{name}:{self.port}"}
            url = f"https://127.0.0.1:{self.port}/"
            return client.get(url, headers=headers, extensions={"sni_hostname": name})

    def until(self, name: str) -> httpx.Response:
        deadline = time.monotonic() + 30
        while (answer := self.get(name)).status_code != 200:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.1)
        return answer


@pytest.fixture(scope="module")
def proxy(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    directory = tmp_path_factory.mktemp("caddy")
    proxy = Proxy(stack, directory)
    command = ["caddy", "run", "--config", str(proxy.config), "--adapter", "caddyfile"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"HOME": str(directory)})
    yield proxy
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="module")
def app(stack: RunningStack) -> Iterator[str]:
    script = "cd /root && echo over tls > index.html && python3 -m http.server 8000 >/dev/null 2>&1 &"
    body = {"script": script, "workspace_id": "tls", "persistent": True, "url": True, "port": 8000}
    with stack.client() as client:
        job = client.post("/mags-jobs", json=body).raise_for_status().json()["request_id"]
        alias = {"subdomain": LABEL, "workspace_id": "tls", "port": 8000}
        client.post("/mags-url-aliases", json=alias).raise_for_status()
        yield job
        client.post(f"/mags-jobs/{job}/stop")


def test_names_of_sandboxes_get_certificates_and_others_none(proxy: Proxy, app: str) -> None:
    assert proxy.until(f"{LABEL}.apps.localhost").text == "over tls\n"
    assert proxy.until(f"{app}.apps.localhost").text == "over tls\n"
    with pytest.raises(httpx.ConnectError, match=r"(?i)ssl|tls"):
        proxy.get("nobody.apps.localhost")


def test_the_dashboard_and_its_websockets_pass(proxy: Proxy, stack: RunningStack, app: str) -> None:
    assert proxy.get("localhost").headers["Location"] == "/login/?next=/"

    async def log() -> str:
        url = f"wss://localhost:{proxy.port}/ws/jobs/{app}/logs"
        async with aiohttp.ClientSession() as session, session.ws_connect(url, ssl=proxy.trust()) as socket:
            await socket.send_json({"type": "auth", "token": stack.environment()["MAGS_API_TOKEN"]})
            message = await socket.receive_json(timeout=30)
            return str(message["type"])

    with ThreadPoolExecutor(1) as thread:  # a browser's tests have a loop in this one
        assert thread.submit(asyncio.run, log()).result() == "status"
