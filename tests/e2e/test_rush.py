"""A crowd at the door of a sandbox that sleeps, and people inside while everything around it is killed."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import aiohttp
import pytest

from tests.e2e.running import RunningStack
from tests.e2e.test_staying import Person
from tests.e2e.visitor import Visitor

pytestmark = [pytest.mark.stack, pytest.mark.privileged, pytest.mark.timeout(300)]

CROWD = 500
# Tells the time for ever, slowly: an answer that is never over.
CLOCK = """
import http.server, time
class Clock(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        if self.path != "/clock":
            self.send_header("Content-Length", "3")
            self.end_headers()
            self.wfile.write(b"hi\\n")
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(100000):
            line = b"%d\\n" % number
            self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(line), line))
            time.sleep(0.05)
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024
Server(("127.0.0.1", 8000), Clock).serve_forever()
"""
SERVE = "exec python3 /root/clock.py"

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """On a thread of its own: a browser's tests have a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@pytest.fixture(scope="module")
def person(stack: RunningStack) -> Iterator[Person]:
    found = Person(stack)
    yield found
    found.client.close()


@pytest.fixture(scope="module")
def clock(person: Person) -> Iterator[str]:
    """A server that sleeps after two seconds and is ended some more seconds later."""
    body = {
        "script": f"cat > /root/clock.py <<'END'\n{CLOCK}END\n{SERVE} >/dev/null 2>&1 &",
        "workspace_id": "clock", "persistent": True, "url": True, "port": 8000, "startup_command": SERVE,
        "environment": {"__MAGS_IDLE_MIN": "0.03"},
    }  # fmt: skip
    job: str = person.client.post("/mags-jobs", json=body).raise_for_status().json()["request_id"]
    yield job
    person.client.post(f"/mags-jobs/{job}/stop")


async def visit(session: aiohttp.ClientSession, visitor: Visitor, label: str) -> tuple[int, str]:
    headers = {"Host": f"{label}.apps.localhost:{visitor.port}"}
    async with session.get(f"http://127.0.0.1:{visitor.port}/", headers=headers) as answer:
        return answer.status, await answer.text()


async def crowd(visitor: Visitor, label: str) -> Counter[tuple[int, str]]:
    timeout = aiohttp.ClientTimeout(total=90)
    connector = aiohttp.TCPConnector(limit=CROWD)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        return Counter(await asyncio.gather(*(visit(session, visitor, label) for _ in range(CROWD))))


@pytest.mark.parametrize(("asleep", "woke"), [("slept", "woke"), ("stopped_idle", "waking")])
def test_a_crowd_at_one_sleeping_url_causes_one_wake(
    stack: RunningStack, person: Person, clock: str, asleep: str, woke: str
) -> None:
    visitor = Visitor(stack)
    if asleep == "slept":
        person.client.post(f"/mags-jobs/{clock}/wake").raise_for_status()
        visitor.until(clock)
    wait_until_last(person, clock, asleep)
    begun = len(person.events(clock))
    assert run(crowd(visitor, clock)) == {(200, "hi\n"): CROWD}
    kinds = Counter(event["kind"] for event in person.events(clock)[begun:])
    assert kinds[woke] == 1, kinds


def wait_until_last(person: Person, job: str, kind: str) -> None:
    """Until nothing has happened to the job since that."""
    deadline = time.monotonic() + 60
    while (events := person.events(job))[-1]["kind"] != kind:
        assert time.monotonic() < deadline, [(event["kind"], event["at"]) for event in events]
        time.sleep(0.1)


class Counting:
    """Somebody who reads numbers for ever; each must follow the one before."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        self.last = -1

    def reads_on(self, count: int) -> None:
        assert self._process.stdout is not None
        for _ in range(count):
            line = self._process.stdout.readline()
            assert line, f"{self._process.args[:2]} was cut off after {self.last}"
            assert int(line) == self.last + 1
            self.last += 1

    def ends(self) -> None:
        self._process.kill()  # OpenSSH 9.2 may miss a SIGTERM until something else happens
        self._process.communicate(timeout=20)


def test_open_connections_outlive_everything_that_manages_them(
    stack: RunningStack, person: Person, clock: str
) -> None:
    person.client.post(f"/mags-jobs/{clock}/wake").raise_for_status()
    visitor = Visitor(stack)
    visitor.until(clock)
    host = f"Host: {clock}.apps.localhost:{visitor.port}"
    curl = ["curl", "-sN", "--noproxy", "*", "-H", host, f"http://127.0.0.1:{visitor.port}/clock"]
    count = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done"
    ways = [curl, ["mags", "ssh", clock, "--", count], ["mags", "exec", clock, count]]
    readers = [Counting(command, person.environment) for command in ways]
    try:
        for reader in readers:
            reader.reads_on(5)
        for name in ("redis", "web", "worker", "agent"):
            stack.kill(name)
            for reader in readers:
                reader.reads_on(5)
        for name in ("redis", "web", "worker", "agent"):
            stack.wait_ready(name)
        for reader in readers:
            reader.reads_on(40)
        assert visitor.until(clock).text == "hi\n"
        stack.kill("gateway")
        stack.wait_ready("gateway")
        assert visitor.get(clock).text == "hi\n"
        assert person.types(f"mags ssh {clock} -- echo again") == "again\n"
    finally:
        for reader in readers:
            reader.ends()
