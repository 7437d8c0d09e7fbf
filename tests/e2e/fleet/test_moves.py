"""Workspaces go from host to host, and are the same everywhere."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from hostagent.volumes.volume import Volume
from tests.e2e.fleet.fleet import Fleet, unique, until
from tests.volumes.trees import Tree, describe

pytestmark = [pytest.mark.stack, pytest.mark.privileged, pytest.mark.timeout(300)]

# What packages and people leave behind, and what was there before and is deleted.
WORK = """
import os, shutil
os.chdir("/root")
for number in range(300):
    os.makedirs(f"pkg/{number % 20}", exist_ok=True)
    with open(f"pkg/{number % 20}/{number}", "wb") as file:
        file.write(os.urandom(number * 37 % 9000))
shutil.rmtree("/usr/share/doc")
os.remove("/etc/debian_version")
shutil.rmtree("/etc/cron.daily")
os.mkdir("/etc/cron.daily")
open(b"odd \\xff\\n name", "w").close()
os.chmod("pkg/1/1", 0o4750)
os.chown("pkg/2/2", 1234, 65533)
os.link("pkg/3/3", "pkg/4/linked")
os.symlink("../nowhere", "pkg/link")
os.mkfifo("pkg/fifo", 0o600)
os.setxattr("pkg/5/5", "user.color", b"\\x00red\\xff")
os.utime("pkg/6/6", ns=(1, 123456789))
with open("pkg/holes", "wb") as file:
    file.truncate(1 << 26)
    os.pwrite(file.fileno(), b"far", 1 << 25)
"""
MORE = """
import os
os.chdir("/root/pkg")
for number in range(100):
    os.remove(f"{number % 20}/{number}")
os.rename("7", "renamed")
open("b-was-here", "w").close()
"""


def python(program: str) -> str:
    return f"python3 - <<'END'\n{program}\nEND"


def saved(volume: Volume, sha256: str) -> Tree:
    return describe(volume.version(sha256).path / "upper")


def test_what_one_host_saved_is_the_same_on_another_and_back_again(fleet: Fleet) -> None:
    name = unique("packages")
    fleet.only("a")
    job, _ = fleet.run(python(WORK), workspace_id=name, persistent=True)
    assert job["host"] == "a"
    fleet.end(job["id"])
    first = fleet.workspace(name)
    written = saved(fleet.volume("a", name), fleet.versions(name)[0]["sha256"])
    assert len(written) > 320

    fleet.only("b")
    look = "test ! -e /usr/share/doc && test ! -e /etc/debian_version && ls -A /etc/cron.daily | wc -l"
    job, lines = fleet.run(look, workspace_id=name, persistent=True)
    assert (job["host"], lines) == ("b", ["0"])
    head = fleet.versions(name)[0]["sha256"]
    assert saved(fleet.volume("b", name), head) == written
    (restored,) = fleet.log("b", "restored", name)
    assert int(restored["stored"]) == first["stored_bytes"]
    fleet.run(python(MORE), workspace_id=name, persistent=True)
    fleet.end(job["id"])
    after, before = fleet.versions(name)[:2]
    assert before["sha256"] == head
    edited = saved(fleet.volume("b", name), after["sha256"])
    assert edited != written

    fleet.only("a")
    job, lines = fleet.run("ls /root/pkg/b-was-here", workspace_id=name, persistent=True)
    assert (job["host"], lines) == ("a", ["/root/pkg/b-was-here"])
    assert saved(fleet.volume("a", name), after["sha256"]) == edited
    (restored,) = fleet.log("a", "restored", name)
    # The second version only: what it builds on is still there.
    assert (int(restored["versions"]), int(restored["stored"])) == (1, after["stored_bytes"])
    assert after["stored_bytes"] < before["stored_bytes"] / 5
    fleet.end(job["id"])


def test_of_many_that_want_a_workspace_at_once_one_gets_it(fleet: Fleet) -> None:
    fields = {"workspace_id": unique("wanted"), "persistent": True, "script": "sleep 60"}

    def submit(_: int) -> tuple[int, str]:
        with fleet.stack.client() as http:
            answer = http.post("/mags-jobs", json=fields)
        return answer.status_code, str(answer.json()["request_id" if answer.is_success else "error"])

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(submit, range(12)))
    won = [text for status, text in answers if status == 202]
    lost = [text for status, text in answers if status == 409]
    assert (len(won), len(lost)) == (1, 11), answers
    assert all("already in use" in text for text in lost), set(lost)
    fleet.end(won[0])


def test_a_fork_begins_on_a_host_that_has_nothing_of_it(fleet: Fleet) -> None:
    source, fork = unique("source"), unique("fork")
    fleet.only("a")
    job, _ = fleet.run("echo kept > /root/file", workspace_id=source, persistent=True)
    fleet.end(job["id"])
    fleet.only("b")
    job, lines = fleet.run(
        "cat /root/file; echo changed > /root/file",
        workspace_id=fork, base_workspace_id=source, persistent=True,
    )  # fmt: skip
    assert (job["host"], lines) == ("b", ["kept"])
    receipt = fleet.sync(fork)
    # What the fork wrote goes on from what it shares with its source, and is no copy of it.
    assert receipt["version"] == 2
    fleet.end(job["id"])
    fleet.only("a")
    job, lines = fleet.run("cat /root/file", workspace_id=source, persistent=True)
    assert lines == ["kept"]
    fleet.end(job["id"])


def test_runs_on_two_hosts_stand_on_one_base(fleet: Fleet) -> None:
    base = unique("base")
    job, _ = fleet.run("echo original > /root/file", workspace_id=base, persistent=True)
    fleet.end(job["id"])
    head = fleet.versions(base)
    fleet.only("b", "c")
    script = "read line < /root/file; echo $line $NUMBER > /root/file; cat /root/file; sleep 60"
    jobs = [fleet.submit(f"NUMBER={n}; {script}", base_workspace_id=base) for n in (1, 2)]
    for number, job_id in enumerate(jobs, 1):
        until(lambda job_id=job_id: fleet.output(job_id), "it has written")
        assert fleet.output(job_id) == [f"original {number}"]
    assert [fleet.job(job_id)["status"] for job_id in jobs] == ["running", "running"]
    assert {fleet.end(job_id)["host"] for job_id in jobs} == {"b", "c"}
    assert fleet.versions(base) == head
