"""A web server that is always on, whatever becomes of its hosts."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.fleet.fleet import Fleet, stale_host_is_refused, unique, until
from tests.e2e.visitor import Visitor

pytestmark = [pytest.mark.stack, pytest.mark.privileged, pytest.mark.timeout(1800)]

# Each is a host lost and a server found again, 8 to 15 s: more of them by these variables.
LOSSES = int(os.environ.get("ALWAYS_ON_LOSSES", "1"))
PAUSES = int(os.environ.get("ALWAYS_ON_PAUSES", "1"))
SERVE = "cd /root/site && exec python3 -m http.server 8000"
BEGIN = f"mkdir -p /root/site && echo $WORDS > /root/site/index.html && ({SERVE}) >/dev/null 2>&1 &"


class Server:
    """The always-on job, and the sandbox that it has now."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self.visitor = fleet, Visitor(fleet.stack)
        self.name, self.words = unique("always"), unique("words")
        fleet.only("a", "b")
        options = {"workspace_id": self.name, "persistent": True, "no_sleep": True, "url": True, "port": 8000}
        self.job, _ = fleet.run(BEGIN, environment={"WORDS": self.words}, startup_command=SERVE, **options)
        self.receipt = fleet.sync(self.name)
        self.label = self.job["id"]
        self.serves()

    def serves(self) -> None:
        """The same words at the same address, from whichever host."""
        deadline = time.monotonic() + 90
        while (answer := self.visitor.get(self.label)).status_code != 200:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.1)
        assert answer.text == f"{self.words}\n"

    def look(self) -> dict[str, Any]:
        """What is shown of it."""
        return self.fleet.job(self.label)

    def elsewhere(self, than: dict[str, Any]) -> dict[str, Any]:
        """As soon as it has another sandbox, on another host."""

        def is_moved(job: dict[str, Any]) -> bool:
            return bool(job["sandbox"] == "running" and job["vm_id"] != than["vm_id"])

        job = self.fleet.wait(self.label, is_moved)
        assert job["host"] != than["host"]
        assert [job[key] for key in SAME] == [than[key] for key in SAME]
        return job


SAME = ("id", "name", "url", "workspace_id", "no_sleep", "exit_code", "finished_at")


@pytest.fixture(scope="module")
def server(running_fleet: Fleet) -> Iterator[Server]:
    server = Server(running_fleet)
    yield server
    running_fleet.end(server.label)


def test_a_host_dies_and_the_server_is_found_again_at_its_url(fleet: Fleet, server: Server) -> None:
    took_s = []
    for _ in range(LOSSES):
        fleet.only("a", "b")
        before = server.look()
        data_port = fleet.process(before["host"]).replace("agent", "data")
        for process in (fleet.process(before["host"]), data_port):
            fleet.stack.crash(process)
        for pid in fleet.processes(before["host"], before["vm_id"]):
            with contextlib.suppress(ProcessLookupError):  # the first one's death is that of others
                os.kill(pid, signal.SIGKILL)
        begun = time.monotonic()
        server.serves()
        took_s.append(time.monotonic() - begun)
        server.elsewhere(before)
        for process in (data_port, fleet.process(before["host"])):
            fleet.stack.start(process)
    kinds = [event["kind"] for event in events(fleet, server.label)]
    assert kinds.count("recovering") == kinds.count("recovered") >= LOSSES
    print(f"serving again after s: p50 {statistics.median(took_s):.1f}, all {[round(s, 1) for s in took_s]}")


def test_a_host_that_only_seemed_dead_ends_what_it_has_and_publishes_nothing(
    fleet: Fleet, server: Server
) -> None:
    for _ in range(PAUSES):
        fleet.only("a", "b")
        before = server.look()
        epoch = fleet.ask(before["host"], "status")["boot_epoch"]
        record = fleet.held(before["host"], server.name)
        agent = fleet.stack.pid(fleet.process(before["host"]))
        os.kill(agent, signal.SIGSTOP)
        try:
            server.elsewhere(before)
            server.serves()
            assert fleet.processes(before["host"], before["vm_id"]), (
                "the paused host's sandbox is still there"
            )
            receipt = fleet.sync(server.name)
            stale_host_is_refused(fleet, before["host"], record["wish"], epoch, receipt["sha256"])
        finally:
            os.kill(agent, signal.SIGCONT)
        until(
            lambda job=before: not fleet.processes(job["host"], job["vm_id"]),
            "it ends its own",
        )
        assert fleet.versions(server.name)[0]["sha256"] == receipt["sha256"]
        server.serves()


def events(fleet: Fleet, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    answer = fleet.http.get(f"/mags-jobs/{job_id}/events", params={"page_size": 200})
    found += answer.raise_for_status().json()["events"]
    return found
