"""`mags workspace`, `sync`, `resize` as processes: piped, as JSON, and what goes wrong."""

from __future__ import annotations

import json
import threading

import pytest
from conftest import Command
from fake_job import FakeJob
from fake_server import FakeServer
from fake_workspaces import MADE_AT, FakeWorkspace

HOSTILE = "a\x1b[2J\tb\n\u202ec"
SHOWN = b"a\\x1b[2J\\tb\\n\\u202ec"


@pytest.fixture
def web(server: FakeServer) -> FakeWorkspace:
    """Two versions that differ in all three ways."""
    found = server.new_workspace("web", kept="1", app="12", old="1")
    found.save()
    found.live = {"kept": "1", "app": "1234", "new": "1"}
    found.save("checkpoint")
    return found


@pytest.mark.parametrize("command", ["list", "show", "versions", "diff", "restore", "fork", "delete"])
def test_every_command_has_help(mags: Command, server: FakeServer, command: str) -> None:
    shown = mags("workspace", command, "--help")
    assert (shown.returncode, server.paths) == (0, [])
    assert f"Usage: mags workspace {command}".encode() in shown.stdout
    assert f"  {command} ".encode() in mags("workspace", "--help").stdout


def test_piped_list_is_columns_and_tabs(mags: Command, server: FakeServer, web: FakeWorkspace) -> None:
    server.new_workspace("local").more = {"disk_gb": 7, "active_job": "6b1f"}
    web.more = {"damaged": {"message": "An object is gone.", "at": MADE_AT, "last_good_version": 1}}
    header, *rows = [line.split("\t") for line in mags("workspace", "list").stdout.decode().splitlines()]
    assert " ".join(header) == (
        "NAME VERSION VERSIONS SIZE_BYTES STORED_BYTES DISK_GB DURABLE_AT USED_AT ACTIVE_JOB DAMAGED"
    )
    assert rows == [
        ["local", "", "0", "", "0", "7", "", MADE_AT, "6b1f", ""],
        ["web", "2", "2", "6", "1010", "2", MADE_AT, MADE_AT, "", "yes"],
    ]


def test_list_as_json_and_by_pages(mags: Command, server: FakeServer) -> None:
    for number in range(3):
        server.new_workspace(f"w{number}")
    page = json.loads(mags("workspace", "list", "-n", "2", "--page", "2", "--json").stdout)
    assert ([one["name"] for one in page["workspaces"]], page["total"]) == (["w0"], 3)


def test_show_is_a_card_or_json(mags: Command, web: FakeWorkspace) -> None:
    web.more = {"active_job": "6b1f", "disk_gb": 10}
    card = mags("workspace", "show", "web").stdout.decode().splitlines()
    assert card[0] == "● saved, version 2"
    shown = {line[2:11].strip(): line[12:] for line in card[1:]}
    assert shown["files"] == "6 B"
    assert shown["disk"] == "10 GB"
    assert shown["stored"] == "1010 B in 2 versions"
    assert shown["in use by"] == "6b1f"
    assert shown["durable"].endswith(" ago")
    assert json.loads(mags("workspace", "show", "web", "--json").stdout)["version"] == 2


def test_show_says_when_nothing_was_saved(mags: Command, server: FakeServer) -> None:
    server.new_workspace("local")
    server.new_workspace("new").more = {"is_saved": True}  # persistent, but not synced once
    for name, words in (("local", "● not saved\n"), ("new", "● not saved yet\n")):
        card = mags("workspace", "show", name).stdout.decode()
        assert card.startswith(words)
        assert "durable" not in card
        assert "stored" not in card


@pytest.mark.parametrize("good", [1, None])
def test_damage_is_said_with_the_way_back(mags: Command, web: FakeWorkspace, good: int | None) -> None:
    web.more = {"damaged": {"message": "An object is gone.", "at": MADE_AT, "last_good_version": good}}
    card = mags("workspace", "show", "web").stdout.decode()
    assert card.startswith("● damaged, version 2\n  An object is gone.\n")
    assert ("mags workspace restore web 1" in card) == (good is not None)


def test_versions_newest_first(mags: Command, web: FakeWorkspace) -> None:
    web.versions[0].more = {"is_damaged": True, "durable_at": None}
    header, *rows = [
        line.split("\t") for line in mags("workspace", "versions", "web").stdout.decode().splitlines()
    ]
    assert " ".join(header) == ("VERSION REASON SIZE_BYTES STORED_BYTES MADE_AT DURABLE_AT SHA256 DAMAGED")
    sums = [version.as_wire()["sha256"] for version in web.versions]
    assert rows == [
        ["2", "checkpoint", "6", "506", MADE_AT, MADE_AT, sums[1], ""],
        ["1", "sync", "4", "504", MADE_AT, "", sums[0], "yes"],
    ]
    page = json.loads(mags("workspace", "versions", "web", "--json", "-n", "1").stdout)
    assert [one["version"] for one in page["versions"]] == [2]


def test_diff_marks_each_path(mags: Command, web: FakeWorkspace) -> None:
    ran = mags("workspace", "diff", "web", "1", "v2")
    assert (ran.stdout, ran.returncode) == (b"~ app\n+ new\n- old\n", 0)
    assert ran.stderr == b"mags: 1 added, 1 changed, 1 removed between versions 1 and 2\n"
    assert mags("workspace", "diff", "web", "1").stdout == ran.stdout
    assert mags("workspace", "diff", "web").stdout == ran.stdout
    assert mags("workspace", "diff", "web", "2", "1").stdout == b"~ app\n- new\n+ old\n"
    assert json.loads(mags("workspace", "diff", "web", "1", "--json").stdout)["changed"] == ["app"]


def test_diff_of_the_same_is_empty(mags: Command, web: FakeWorkspace) -> None:
    ran = mags("workspace", "diff", "web", "2", "2")
    assert (ran.stdout, ran.stderr) == (b"", b"mags: nothing differs between versions 2 and 2\n")


def test_diff_says_when_it_is_not_all(mags: Command, server: FakeServer, web: FakeWorkspace) -> None:
    totals = {"added": 20_000, "changed": 0, "removed": 0}
    body = {
        "from": 1,
        "to": 2,
        "added": ["a"],
        "changed": [],
        "removed": [],
        "totals": totals,
        "truncated": True,
    }
    server.trouble("diff$", "200", body=json.dumps(body))
    ran = mags("workspace", "diff", "web", "1")
    assert ran.stderr == b"mags: 20000 added between versions 1 and 2; only a part of them is listed\n"


def test_diff_waits_while_a_host_is_at_it(mags: Command, server: FakeServer, web: FakeWorkspace) -> None:
    body = {"error": "The versions are still being compared.", "code": "diff_pending", "retryable": True}
    server.trouble("diff$", "503", times=3, body=json.dumps(body))
    ran = mags("workspace", "diff", "web")
    assert ran.stdout == b"~ app\n+ new\n- old\n"
    assert ran.stderr.splitlines()[0] == b"mags: The versions are still being compared; trying again"


def test_restore_makes_a_new_version(mags: Command, web: FakeWorkspace) -> None:
    ran = mags("workspace", "restore", "web", "v1")
    assert ran.stdout == b"web is as it was in version 1, saved as version 3.\n"
    assert web.live == web.versions[0].tree
    assert json.loads(mags("workspace", "restore", "web", "2", "--json").stdout)["version"] == 4


def test_fork_of_the_newest_and_of_an_older_version(
    mags: Command, server: FakeServer, web: FakeWorkspace
) -> None:
    assert mags("workspace", "fork", "web", "copy").stdout == b"copy is a fork of web.\n"
    older = mags("workspace", "fork", "web", "older", "--version", "1")
    assert older.stdout == b"older is a fork of web, version 1.\n"
    assert [server.workspaces[name].live for name in ("copy", "older")] == [
        version.tree for version in reversed(web.versions)
    ]
    assert json.loads(mags("workspace", "fork", "web", "third", "--json").stdout)["name"] == "third"
    taken = mags("workspace", "fork", "web", "copy")
    assert (taken.returncode, taken.stdout) == (125, b"")
    assert b"exists already.\n  Choose another name; `mags workspace list`" in taken.stderr


def test_resize(mags: Command, web: FakeWorkspace) -> None:
    assert mags("resize", "web", "--disk", "10g").stdout == b"web has a disk of 10 GB now.\n"
    assert json.loads(mags("resize", "web", "--disk", "12", "--json").stdout)["disk_gb"] == 12
    assert web.disk_gb == 12


def test_sync_prints_the_receipt(mags: Command, web: FakeWorkspace) -> None:
    mags("run", "-w", "web", "-n", "job", "true")
    web.live["big"] = "x" * 5000
    lines = mags("sync", "job").stdout.decode().splitlines()
    saved = web.versions[-1].as_wire()
    assert lines[0] == "● web is saved as version 3"
    assert lines[1:3] == [f"  sha256    {saved['sha256']}", "  bytes     5 506 (5.4 KB)"]
    assert lines[3].startswith("  durable   ")
    receipt = json.loads(mags("sync", "job", "--json").stdout)
    assert receipt == {
        "workspace_id": "web",
        "version": 4,
        "sha256": web.versions[-1].as_wire()["sha256"],
        "bytes": 5506,
        "synced_at": MADE_AT,
    }


def test_delete_needs_a_yes(mags: Command, server: FakeServer, web: FakeWorkspace) -> None:
    asked = mags("workspace", "delete", "web")
    assert (asked.returncode, asked.stdout, server.paths) == (2, b"", [])
    assert b"add --yes" in asked.stderr
    assert "web" in server.workspaces
    assert mags("workspace", "delete", "web", "--yes").stdout == b"web is deleted.\n"
    assert server.workspaces == {}


def test_delete_as_json(mags: Command, web: FakeWorkspace) -> None:
    ran = mags("workspace", "delete", "web", "-y", "--json")
    assert json.loads(ran.stdout) == {"workspace_id": "web", "deleted": True}


def test_files_that_are_being_saved_are_waited_for(
    mags: Command, server: FakeServer, web: FakeWorkspace
) -> None:
    job = server.jobs["6b1f"] = FakeJob("6b1f", {})
    job.finish()
    web.more = {"active_job": job.id}
    threading.Timer(0.5, web.more.clear).start()  # the sandbox has ended
    assert mags("workspace", "delete", "web", "--yes").stdout == b"web is deleted.\n"
    assert server.workspaces == {}


def test_workspace_in_use_is_not_deleted(mags: Command, server: FakeServer, web: FakeWorkspace) -> None:
    server.jobs["6b1f"] = FakeJob("6b1f", {})
    web.more = {"active_job": "6b1f"}
    ran = mags("workspace", "delete", "web", "--yes")
    assert (ran.returncode, ran.stdout) == (125, b"")
    assert ran.stderr == b"Error: The workspace is already in use.\n  Stop the job that uses it.\n"
    assert "web" in server.workspaces


@pytest.mark.parametrize(
    "line",
    ["show no", "versions no", "diff no 1", "restore no 1", "fork no x", "delete no --yes"],
)
def test_workspace_that_is_not_there(mags: Command, server: FakeServer, line: str) -> None:
    ran = mags("workspace", *line.split())
    assert (ran.returncode, ran.stdout) == (125, b"")
    assert (
        ran.stderr == b"Error: There is no such workspace.\n  `mags workspace list` shows your workspaces.\n"
    )


def test_version_that_is_not_there(mags: Command, web: FakeWorkspace) -> None:
    for args in (["restore", "web", "9"], ["diff", "web", "1", "9"], ["fork", "web", "x", "--version", "9"]):
        ran = mags("workspace", *args)
        assert (ran.returncode, ran.stdout) == (125, b"")
        assert b"no version 9.\n  `mags workspace versions` shows" in ran.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["sync"], b"Missing argument"),
        (["resize", "web"], b"--disk"),
        (["resize", "web", "--disk", "1.5"], b"whole GB"),
        (["resize", "web", "--disk", "0"], b"whole GB"),
        (["workspace", "restore", "web"], b"Missing argument"),
        (["workspace", "restore", "web", "newest"], b"is not a version"),
        (["workspace", "restore", "web", "0"], b"is not a version"),
        (["workspace", "diff", "web", "1", "-2"], b"No such option"),
        (["workspace", "versions", "web", "-n", "201"], b"limit"),
        (["workspace", "show", ""], b"Name a workspace"),
        (["workspace", "show", ".."], b"Name a workspace"),
        (["workspace", "remove"], b"No such command"),
    ],
)
def test_wrong_usage_is_2_and_sends_nothing(
    mags: Command, server: FakeServer, args: list[str], says: bytes
) -> None:
    ran = mags(*args)
    assert (ran.returncode, ran.stdout, server.paths) == (2, b"", [])
    assert says in ran.stderr


def test_names_cannot_steer_the_terminal(mags: Command, server: FakeServer, web: FakeWorkspace) -> None:
    web.more = {"name": HOSTILE, "host": HOSTILE, "image": HOSTILE, "active_job": HOSTILE}
    web.versions[0].more = {"reason": HOSTILE}
    web.live[HOSTILE] = "1"
    web.save()
    for args in (["list"], ["show", "web"], ["versions", "web"], ["diff", "web", "1"]):
        shown = mags("workspace", *args).stdout
        assert SHOWN in shown, args
        assert b"\x1b" not in shown


def test_paths_that_are_not_utf8_are_shown_escaped_and_kept_in_json(
    mags: Command, web: FakeWorkspace
) -> None:
    web.live["caf\udce9/na\xefve"] = "1"
    web.save()
    assert b"+ caf\\xe9/na\xc3\xafve\n" in mags("workspace", "diff", "web", "2").stdout
    added = json.loads(mags("workspace", "diff", "web", "2", "--json").stdout)["added"]
    assert added == ["caf\udce9/na\xefve"]


def test_status_names_the_workspace_and_since_when_it_is_durable(mags: Command, server: FakeServer) -> None:
    mags("run", "-w", "web", "-p", "--base", "golden", "true")
    server.next_job().more = {"durable_at": MADE_AT}
    card = mags("status", "web").stdout.decode()
    assert "  workspace web (persistent) on golden\n" in card
    assert "  durable   2026-" in card
    assert "unsaved" not in card


def test_status_says_since_when_saving_fails(mags: Command, server: FakeServer) -> None:
    mags("run", "-w", "web", "-p", "true")
    server.next_job().more = {"unsaved_since": MADE_AT}
    card = mags("status", "web").stdout.decode()
    assert "  unsaved   since 2026-" in card
    assert "saving fails, and is tried again" in card
