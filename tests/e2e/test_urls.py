"""Public URLs on a whole stack: from a visitor's request to a server inside a real sandbox, and back."""

from __future__ import annotations

import subprocess
import sys
import time

import httpx
import pytest

from deploy.layout import ROOT
from tests.e2e.running import RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.privileged, pytest.mark.timeout(300)]

CLIENT = ROOT / "clients/python/src"
SERVER = """
cd /root && echo hello from inside > index.html
python3 -m http.server 8000 --bind 127.0.0.1 >/dev/null 2>&1 &
cat > /tmp/echo.py <<'END'
import base64, hashlib, socket
server = socket.create_server(("127.0.0.1", 9000))
while True:
    sock, _ = server.accept()
    head = b""
    while b"\\r\\n\\r\\n" not in head:
        head += sock.recv(4096)
    key = next(l for l in head.split(b"\\r\\n") if l.lower().startswith(b"sec-websocket-key")).split(b": ")[1]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
                 b"Sec-WebSocket-Accept: " + accept + b"\\r\\n\\r\\n")
    head = sock.recv(2)
    mask, length = sock.recv(4), head[1] & 127
    text = bytes(b ^ mask[i % 4] for i, b in enumerate(sock.recv(length)))
    sock.sendall(b"\\x81" + bytes([len(text)]) + text)
END
python3 /tmp/echo.py >/dev/null 2>&1 &
"""


class Visitor:
    """Somebody outside. Names below the apps domain are this machine's."""

    def __init__(self, stack: RunningStack) -> None:
        self.port = stack.layout.gateway_port

    def get(self, label: str, path: str = "/", **headers: str) -> httpx.Response:
        url = f"http://127.0.0.1:{self.port}{path}"
        host = {"Host": f"{label}.apps.localhost:{self.port}"}
        with httpx.Client(trust_env=False, timeout=70) as client:
            return client.get(url, headers=host | headers)

    def until_ok(self, label: str) -> httpx.Response:
        """The server inside needs a moment to listen."""
        deadline = time.monotonic() + 30
        while (answer := self.get(label)).status_code == 502:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.1)
        return answer


def mags(stack: RunningStack, *arguments: str) -> str:
    environment = {**stack.environment(), "PYTHONPATH": str(CLIENT)}
    command = [sys.executable, "-m", "mags", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def visitor(stack: RunningStack) -> Visitor:
    return Visitor(stack)
