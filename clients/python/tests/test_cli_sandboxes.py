"""`mags new`, `wake`, `set`, `status` and `list`, about sandboxes that stay."""

from __future__ import annotations

import json

import pytest
from conftest import Command
from fake_job import FakeJob
from fake_server import FakeServer

from mags import Mags, MagsError


@pytest.fixture
def box(mags: Command, server: FakeServer) -> FakeJob:
    """A sandbox that stays, with nothing in it."""
    assert mags("new", "box").returncode == 0
    return ended(server.next_job())


def ended(job: FakeJob) -> FakeJob:
    with job.changed:
        assert job.changed.wait_for(lambda: job.is_final, timeout=20)
    return job


def test_new_waits_until_it_is_up_and_says_how_to_enter(mags: Command, server: FakeServer) -> None:
    made = mags("new", "box")
    shown = made.stdout.decode()
    assert (made.returncode, made.stderr) == (0, b"")
    assert shown.splitlines()[0] == "● box is up"
    assert "box (on its host only)" in shown
    assert "mags ssh box" in shown
    sent = server.next_job().sent
    assert (sent["script"], sent["name"], sent["workspace_id"]) == (":", "box", "box")
    assert (sent["persistent"], sent["no_sync"]) == (True, True)


def test_new_passes_on_how_it_is_to_be(mags: Command, server: FakeServer) -> None:
    (mags.directory / "data").write_text("x")
    flags = ["-p", "-w", "site", "--base", "golden", "--no-sleep", "--url", "--port", "8000", "--disk", "4"]
    flags += ["--env", "A=b c", "--memory", "2g", "--startup-command", "echo 'it is' $A", "-f", "data"]
    made = mags("new", "web", *flags, "--json")
    job = server.next_job()
    assert json.loads(made.stdout)["request_id"] == job.id
    assert b"it is b c" in mags("logs", "web").stdout  # a start-up command is run now, too
    given = {
        name: job.sent[name] for name in ("workspace_id", "base_workspace_id", "port", "disk_gb", "memory_mb")
    }
    assert list(given.values()) == ["site", "golden", 8000, 4, 2048]
    assert (job.sent["url"], job.sent["no_sleep"], "no_sync" in job.sent) == (True, True, False)
    assert job.sent["startup_command"] == "echo 'it is' $A"
    assert job.sent["file_ids"] == list(server.files)


def test_a_startup_command_is_started_again_until_it_succeeds(mags: Command, server: FakeServer) -> None:
    command = 'echo try >> "$PWD/tries"; test $(wc -l < "$PWD/tries") = 2'
    assert mags("new", "web", "-p", "--startup-command", f"cd {mags.directory}; {command}").returncode == 0
    assert mags("logs", "-f", "web").returncode == 0
    assert (mags.directory / "tries").read_text() == "try\ntry\n"


def test_new_that_cannot_be_made_fails(mags: Command, server: FakeServer) -> None:
    server.runs_scripts = False
    with mags.start("new", "box") as making:
        server.next_job().finish(None, "error", reason="start_failed", message="It could not be started.")
        server.next_job().sandbox = "none"
        output, errors = making.communicate(timeout=20)
    assert (making.returncode, output) == (125, b"")
    assert b"It could not be started." in errors


def test_new_does_not_wait_for_ever(server: FakeServer, client: Mags) -> None:
    server.runs_scripts = False
    with pytest.raises(MagsError, match=r"is not up after 0\.3 s") as caught:
        client.new("box", timeout=0.3)
    assert caught.value.code == "wait_timed_out"


def test_a_sleeper_is_shown_woken_and_stopped(mags: Command, box: FakeJob) -> None:
    box.sleep()
    asleep = mags("status", "box").stdout.decode()
    assert asleep.splitlines()[0] == "● completed, sleeping  exit 0"
    assert "went to sleep  idle 10 min 0 s, cpu 3 ms, connections 0" in asleep
    assert mags("list").stdout.split(b"\n")[1].endswith(b"\tsleeping")
    assert mags("wake", "box").stdout.startswith("● box is up".encode())
    assert "woke up  cause wish, took 12 ms" in mags("status", "box").stdout.decode()
    assert mags("stop", "box").stdout == b"The sandbox of box is being stopped.\n"
    refused = mags("wake", "box")
    assert (refused.returncode, b"nothing to wake" in refused.stderr) == (125, True)


def test_stop_waits_until_the_sandbox_is_over(mags: Command, server: FakeServer, box: FakeJob) -> None:
    box.ends_slowly = True
    with mags.start("stop", "--wait", "box") as stopping:
        while not any("revision=" in path for path in list(server.paths)):
            assert stopping.poll() is None
        with box.changed:
            box.sandbox = "none"
            box.happened("sandbox_ended")
        output, errors = stopping.communicate(timeout=20)
    assert (stopping.returncode, output, errors) == (0, b"box is stopped.\n", b"")


def test_stop_waits_no_longer_than_it_is_told(client: Mags, box: FakeJob) -> None:
    box.ends_slowly = True
    assert client.stop("box", wait=0.3)["status"] == "completed"
    assert client.status("box")["sandbox"] == "running"


def test_events_are_shown_from_the_last(mags: Command, client: Mags, box: FakeJob) -> None:
    with box.changed:
        for number in range(30):
            box.happened("slept" if number % 2 else "unheard_of", number=number, is_so=True, again_s=1.5)
    shown = mags("status", "-n", "3", "box").stdout.decode().splitlines()[-4:]
    assert "... 28 earlier" in shown[0]
    assert [line.split("number ")[1] for line in shown[1:]] == [
        f"{number}, is so yes, again 1.5 s" for number in (27, 28, 29)
    ]
    assert "unheard of" in shown[2]
    assert json.loads(mags("status", "-n", "0", "--json", "box").stdout)["events"] == []
    newest = client.newest_events("box", 20)
    assert [event["detail"]["number"] for event in newest["events"]] == list(range(10, 30))
    assert client.events("box", page=4, page_size=10)["events"] == newest["events"][-1:]


def test_saves_in_a_row_are_one_line(mags: Command, box: FakeJob) -> None:
    with box.changed:
        box.happened("up")
        for version in range(1, 61):
            box.happened("checkpoint", version=version)
    assert (
        mags("status", "-n", "12", "box")
        .stdout.decode()
        .splitlines()[-1]
        .endswith("files saved by itself, 60 times  version 60")
    )


def test_events_cannot_steer_the_terminal(mags: Command, box: FakeJob) -> None:
    with box.changed:
        box.happened("a\x1b[2J", **{"b\x1b[2J": "c\x1b[2J"})
    assert b"\x1b" not in mags("status", "box").stdout


def test_set_says_what_is_so_now(mags: Command, box: FakeJob) -> None:
    assert mags("set", "box", "--no-sleep").stdout == b"box never sleeps from now on.\n"
    assert "never sleeps" in mags("status", "box").stdout.decode()
    several = mags("set", "box", "--sleep", "--startup-command", "", "--name", "shop").stdout.decode()
    assert several.splitlines() == [
        "box sleeps when it is idle from now on.",
        "box runs this whenever it is made anew: nothing",
        "box is called shop now.",
    ]
    changed = json.loads(mags("set", "shop", "--startup-command", "./serve", "--json").stdout)
    assert (changed["name"], changed["startup_command"]) == ("shop", "./serve")


def test_the_sdk_has_them_all(client: Mags, server: FakeServer) -> None:
    ready = client.new("box", persistent=True, environment={"A": "b"})
    job = ended(server.next_job())
    assert ready == {"request_id": job.id, "status": "running"}
    assert "no_sync" not in job.sent
    job.sleep()
    assert client.wake("box", timeout=0)["sandbox"] == "sleeping"
    assert client.wake(job.id)["sandbox"] == "running"
    assert client.update_job("box", no_sleep=True)["no_sleep"] is True
    with pytest.raises(MagsError, match="no_sleep needs persistent"):
        client.new("other", no_sleep=True)
    with pytest.raises(MagsError, match="url needs persistent"):
        client.new("other", url=True)
