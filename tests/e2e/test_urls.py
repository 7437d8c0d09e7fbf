"""Public URLs on a whole stack: from a visitor's request to a server inside a real sandbox, and back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Browser, expect

from deploy.layout import ROOT
from hostagent.linux import cgroup
from tests.e2e.running import RunningStack
from tests.e2e.visitor import Visitor

pytestmark = [pytest.mark.stack, pytest.mark.privileged, pytest.mark.timeout(300)]

CLIENT = ROOT / "clients/python/src"
# Shows a page to whoever asks for one; answers one WebSocket after the other with what it is sent. No library
# is in the image.
ECHO = """
import base64, hashlib, socket
PAGE = (b"<h1>An app</h1><p></p><script>const s = new WebSocket('ws://' + location.host);"
        b"s.onopen = () => s.send('echoed in a browser');"
        b"s.onmessage = (m) => document.querySelector('p').textContent = m.data;</script>")
server = socket.create_server(("127.0.0.1", 9000))
while True:
    sock, _ = server.accept()
    head = b""
    while b"\\r\\n\\r\\n" not in head:
        head += sock.recv(4096)
    lines = head.split(b"\\r\\n")
    keys = [line.split(b": ")[1] for line in lines if line.lower().startswith(b"sec-websocket-key")]
    if not keys:
        sock.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/html\\r\\nContent-Length: %d\\r\\n"
                     b"Connection: close\\r\\n\\r\\n%s" % (len(PAGE), PAGE))
        sock.close()
        continue
    key = keys[0]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
                 b"Sec-WebSocket-Accept: " + accept + b"\\r\\n\\r\\n")
    frame = sock.recv(2)
    mask, length = sock.recv(4), frame[1] & 127
    text = bytes(byte ^ mask[n % 4] for n, byte in enumerate(sock.recv(length)))
    sock.sendall(b"\\x81" + bytes([len(text)]) + text)
    sock.close()
"""
LABEL = "shop"


def sandbox_of(stack: RunningStack, job: str) -> str:
    with stack.client() as client:
        return str(client.get(f"/mags-jobs/{job}").json()["vm_id"])


def mags(stack: RunningStack, *arguments: str) -> str:
    environment = {**stack.environment(), "PYTHONPATH": str(CLIENT)}
    command = [sys.executable, "-m", "mags", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def visitor(stack: RunningStack) -> Visitor:
    return Visitor(stack)


@pytest.fixture(scope="module")
def job(stack: RunningStack) -> Iterator[str]:
    """A web server as somebody would begin one, and a name for it."""
    script = "cd /root && echo hello > index.html && python3 -m http.server 8000 &"
    mags(stack, "run", "-w", "urls", "-p", "--url", "--port", "8000", script)
    mags(stack, "url", "alias", LABEL, "urls", "--port", "8000")
    with stack.client() as client:
        yield client.get("/mags-jobs/urls").json()["id"]
        client.post("/mags-jobs/urls/stop")


def test_a_server_in_a_sandbox_is_reached_by_its_id_and_by_its_name(visitor: Visitor, job: str) -> None:
    assert visitor.until(job).text == visitor.until(LABEL).text == "hello\n"
    assert visitor.get(LABEL).headers["Content-Type"] == "text/html"
    assert visitor.get(LABEL, "/nothing").status_code == 404
    assert visitor.get("nobody").json()["code"] == "no_such_url"


def test_the_command_line_says_the_url(stack: RunningStack, job: str) -> None:
    url = f"http://{job}.apps.localhost:{stack.layout.gateway_port}"
    assert mags(stack, "url", "urls", "8000") == url
    assert url in mags(stack, "status", "urls")


def test_a_later_job_of_the_workspace_is_reached_by_the_same_url(
    stack: RunningStack, visitor: Visitor, job: str
) -> None:
    """It listens on another port, speaks WebSocket, and runs in the same sandbox."""
    mags(stack, "run", "-w", "urls", "-p", f"cat > /tmp/echo.py <<'END'\n{ECHO}\nEND\npython3 /tmp/echo.py &")
    with stack.client() as client:
        answer = client.post(f"/mags-jobs/{job}/access", json={"port": 9000}).json()
    assert (answer["success"], answer["port"], "subdomain" in answer) == (True, 9000, False)

    async def echoed(text: str) -> str:
        async with visitor.socket(job) as socket:
            await socket.send_str(text)
            return await socket.receive_str(timeout=20)

    with ThreadPoolExecutor(1) as thread:  # a browser's loop may be running in this one
        assert thread.submit(asyncio.run, echoed("through the gateway")).result() == "through the gateway"


def test_a_browser_sees_the_page_and_its_socket(
    chromium: Browser, stack: RunningStack, visitor: Visitor, job: str
) -> None:
    """At the name that browsers resolve by themselves."""
    visitor.until(job)
    page = chromium.new_page()
    page.goto(f"http://{job}.apps.localhost:{stack.layout.gateway_port}/")
    expect(page.locator("h1")).to_have_text("An app")
    expect(page.locator("p")).to_have_text("echoed in a browser")
    page.close()


def test_a_frozen_sandbox_is_thawed_for_a_visitor(stack: RunningStack, visitor: Visitor, job: str) -> None:
    groups, group = cgroup.detect(), f"{stack.layout.instance}/{sandbox_of(stack, job)}"
    cgroup.freeze(groups, group)
    assert visitor.get(LABEL).status_code == 200
    assert not cgroup.is_frozen(groups, group)


def test_what_is_known_goes_on_while_the_control_plane_is_away(
    stack: RunningStack, visitor: Visitor, job: str
) -> None:
    assert visitor.get(LABEL).status_code == 200
    stack.stop("web")
    try:
        assert visitor.get(LABEL).text == "hello\n"
        assert visitor.get("never-asked-for").status_code == 503  # of others it is known that they are not
    finally:
        stack.start("web")
    assert visitor.get(LABEL).text == "hello\n"


def test_a_gateway_and_a_data_port_that_were_killed_are_back(
    stack: RunningStack, visitor: Visitor, job: str
) -> None:
    for name in ("gateway", "data"):
        stack.kill(name)
        stack.wait_ready(name)
        assert visitor.get(LABEL).text == "hello\n"


def test_what_was_stopped_says_so(stack: RunningStack, visitor: Visitor, job: str) -> None:
    mags(stack, "stop", "urls")
    answer = visitor.until(LABEL, 503, Accept="text/html")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "is stopped" in answer.text
    mags(stack, "url", "remove", LABEL)
    assert visitor.until(LABEL, 404).json()["code"] == "no_such_url"
