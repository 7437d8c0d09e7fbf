"""Hosts that die, or only seem to: what was synced goes on elsewhere, what comes too late changes nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.fleet.fleet import Fleet, stale_host_is_refused, unique, until

pytestmark = [pytest.mark.stack, pytest.mark.privileged, pytest.mark.timeout(300)]

WRITES = "echo saved > /root/saved"
GOES_ON = "echo unsaved > /root/unsaved; (while :; do date >> /root/ticks; sleep 0.1; done) >&- 2>&- &"
LOOK = "cat /root/saved; test -e /root/unsaved && echo unsaved is here; echo more > /root/more"


class Held:
    """A workspace with a saved and an unsaved file, in an idle sandbox with a process, on a host."""

    def __init__(self, fleet: Fleet, host: str) -> None:
        """Saved there; so the next sandbox will be there too."""
        self.fleet, self.host, self.name = fleet, host, unique(f"on-{host}")
        fleet.only(host)
        job, _ = fleet.run(WRITES, workspace_id=self.name, persistent=True)
        fleet.end(job["id"])

    def begin(self) -> None:
        fields = {"workspace_id": self.name, "persistent": True}
        job, _ = self.fleet.run("echo again >> /root/saved", **fields)
        self.receipts = [self.fleet.sync(self.name)]
        self.last_job, _ = self.fleet.run(GOES_ON, **fields)
        self.record = self.fleet.held(self.host, self.name)
        assert (job["host"], job["vm_id"]) == (self.host, self.record["wish"]["sandbox_id"])

    def processes(self) -> list[int]:
        """Of its first sandbox."""
        return self.fleet.processes(self.host, self.record["wish"]["sandbox_id"])


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


def ask_sync(fleet: Fleet, held: Held) -> tuple[int, str]:
    with fleet.stack.client() as http:
        answer = http.post(f"/mags-jobs/{held.last_job['id']}/sync")
    return answer.status_code, answer.json().get("code", "")


def test_a_lost_host_publishes_nothing_and_loses_nothing_that_was_synced(
    fleet: Fleet, pool: ThreadPoolExecutor
) -> None:
    killed, paused = Held(fleet, "a"), Held(fleet, "c")
    fleet.only("a")
    local = unique("local")
    job, _ = fleet.run("echo never saved > /root/file", workspace_id=local)
    assert job["host"] == "a"
    fleet.only("a", "b", "c")
    for held in (killed, paused):
        held.begin()
    boot_epoch = fleet.ask("c", "status")["boot_epoch"]

    fleet.stack.crash("agent")
    pid = fleet.stack.pid("agent-c")
    os.kill(pid, signal.SIGSTOP)
    try:
        assert killed.processes(), "the sandbox died with its agent"
        assert paused.processes()
        syncs = [pool.submit(ask_sync, fleet, held) for held in (killed, paused)]
        jobs = [fleet.submit(LOOK, workspace_id=held.name, persistent=True) for held in (killed, paused)]
        waiting = fleet.submit("cat /root/file", workspace_id=local)
        for job_id, held in zip(jobs, (killed, paused), strict=True):
            job = fleet.finish(job_id)
            assert (job["host"], job["exit_code"]) == ("b", 0), job
            assert fleet.output(job_id) == ["saved", "again"]
            held.receipts.append(fleet.sync(held.name))
        job = fleet.wait(waiting, lambda job: job["reason"] == "no_host")
        assert "never saved: its only copy is on the host a" in job["message"]
        # They were asked to save what was lost: no older version, and none of another host's, is an answer.
        assert [asked.result() for asked in syncs] == [(409, "sync_lost")] * 2
        stale_host_is_refused(fleet, "c", paused.record["wish"], boot_epoch, paused.receipts[-1]["sha256"])
    finally:
        os.kill(pid, signal.SIGCONT)
    fleet.stack.start("agent")

    for held in (killed, paused):
        until(lambda held=held: list(fleet.log(held.host, "sandbox_fenced", held.name)), "it is given up")
        assert held.processes() == []
        durable = [version["sha256"] for version in fleet.versions(held.name)]
        assert durable[:2] == [receipt["sha256"] for receipt in reversed(held.receipts)]
        assert len(durable) == 3
    assert fleet.finish(waiting)["host"] == "a"
    assert fleet.output(waiting) == ["never saved"]
    for held, job_id in zip((killed, paused), jobs, strict=True):
        goes_home(fleet, held, job_id)


def goes_home(fleet: Fleet, held: Held, job_id: str) -> None:
    """The first host runs it again as the others have saved it, and keeps what it could not save."""
    fleet.end(job_id)
    fleet.only(held.host)
    look = "cat /root/saved /root/more; ls /root/unsaved"
    job, lines = fleet.run(f"{look} || true", workspace_id=held.name, persistent=True)
    assert (job["host"], lines) == (held.host, ["saved", "again", "more"])
    workspace = fleet.workspace(held.name)["id"]
    (aside,) = (fleet.state(held.host) / "fs" / "laid-aside").glob(f"{workspace}.*")
    assert (aside / "live/upper/root/unsaved").read_text() == "unsaved\n"
    fleet.end(job["id"])
