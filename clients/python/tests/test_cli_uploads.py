"""`mags run` with workspaces and files: what is sent, what is refused, what an interrupt leaves."""

from __future__ import annotations

import hashlib
import os
import signal

import pytest
from conftest import Command
from fake_server import FakeServer

UPLOAD = "POST /api/v1/mags-files"


@pytest.mark.parametrize(
    ("flags", "sent"),
    [
        ("-w web", {"name": "web", "workspace_id": "web"}),
        ("-n web", {"name": "web", "workspace_id": "web"}),
        ("-w web -n job", {"name": "job", "workspace_id": "web"}),
        ("-e -n job", {"name": "job"}),
        ("-w web -p", {"name": "web", "workspace_id": "web", "persistent": True}),
        ("-p", {"persistent": True}),
        ("--base gold", {"base_workspace_id": "gold"}),
        ("-e --base gold", {"base_workspace_id": "gold"}),
        ("-w a --base b", {"name": "a", "workspace_id": "a", "base_workspace_id": "b"}),
        ("-w a --no-sync --disk 9g", {"name": "a", "workspace_id": "a", "no_sync": True, "disk_gb": 9}),
    ],
)
def test_flags_say_what_becomes_of_the_files(
    mags: Command, server: FakeServer, flags: str, sent: dict[str, object]
) -> None:
    assert mags("run", *flags.split(), "true").returncode == 0
    assert server.next_job().sent == {"script": "true", "type": "inline", **sent}


def test_files_go_up_before_the_script(mags: Command, server: FakeServer) -> None:
    (mags.directory / "a b.txt").write_bytes(b"one\xff")
    (mags.directory / "deep").mkdir()
    (mags.directory / "deep" / "é").write_bytes(b"")
    ran = mags("run", "-f", "a b.txt", "-f", "deep/é", "echo hi")
    assert (ran.stdout, ran.stderr, ran.returncode) == (b"hi\n", b"", 0)
    ids = server.next_job().sent["file_ids"]
    assert [server.files[each]["name"] for each in ids] == ["a b.txt", "é"]
    assert server.files[ids[0]]["sha256"] == hashlib.sha256(b"one\xff").hexdigest()
    assert [path.split("?")[0] for path in server.paths[:3]] == [UPLOAD, UPLOAD, "POST /api/v1/mags-jobs"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["-e", "-w", "web"], b"-e keeps nothing and -w keeps something"),
        (["-e", "-p"], b"-e keeps nothing and -p keeps something"),
        (["-f", "missing"], b"missing is not there"),
        (["-f", "."], b"is no name for an upload"),
        (["-f", "deep"], b"is no regular file. Pack a directory with tar."),
        (["-f", "fifo"], b"is no regular file"),
        (["-f", "here", "-f", "deep/here"], b"Two files would be /uploads/here"),
        (["-f", b"caf\xe9"], b"is no name for an upload"),
        (["-f", "a\x1b[2J"], b"'a\\x1b[2J' is no name for an upload"),
    ],
)
def test_what_cannot_be_is_refused_before_any_request(
    mags: Command, server: FakeServer, flags: list[str], says: bytes
) -> None:
    (mags.directory / "deep").mkdir()
    os.mkfifo(mags.directory / "fifo")
    for name in (b"here", b"deep/here", b"caf\xe9", b"a\x1b[2J"):
        (mags.directory / os.fsdecode(name)).write_text("x")
    ran = mags("run", *flags, "true")
    assert (ran.returncode, ran.stdout, server.paths) == (2, b"", [])
    assert says in ran.stderr
    assert b"\x1b" not in ran.stderr


def test_lost_upload_is_said_once_and_begun_anew(mags: Command, server: FakeServer) -> None:
    (mags.directory / "data").write_bytes(bytes(500_000))
    server.trouble(UPLOAD, "hang_up", times=2)
    ran = mags("run", "-f", "data", "echo hi")
    assert (ran.stdout, ran.returncode, len(server.files)) == (b"hi\n", 0, 1)
    assert ran.stderr.count(b"trying again") == 1


@pytest.mark.parametrize("is_early", [False, True])
def test_refused_upload_runs_nothing(mags: Command, server: FakeServer, is_early: bool) -> None:
    (mags.directory / "data").write_bytes(b"x")
    body = '{"error": "The file is larger than 5 GB.", "code": "too_large", "remediation": "Split it."}'
    server.trouble(UPLOAD, "413", body=body, is_early=is_early)
    ran = mags("run", "-f", "data", "true")
    assert (ran.returncode, ran.stdout, server.jobs) == (125, b"", {})
    assert ran.stderr == b"Error: The file is larger than 5 GB.\n  Split it.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_upload_runs_nothing(mags: Command, server: FakeServer, number: signal.Signals) -> None:
    with (mags.directory / "data").open("wb") as file:
        file.truncate(20_000_000_000)  # a hole, which takes longer to send than this test to interrupt it
    with mags.start("run", "-f", "data", "true") as running:
        assert server.incoming.wait(20)
        running.send_signal(number)
        out, err = running.communicate(timeout=20)
    assert (out, running.returncode) == (b"", 130)
    assert b"interrupted while uploading: nothing was run" in err
    assert b"Traceback" not in err
    assert (server.files, server.jobs) == ({}, {})
