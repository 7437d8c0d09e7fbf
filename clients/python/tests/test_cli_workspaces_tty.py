"""What the commands about workspaces do on a terminal."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone

import pytest
from conftest import Command
from fake_server import FakeServer
from fake_workspaces import MADE_AT, FakeWorkspace
from pseudo_terminal import Terminal


@pytest.fixture
def web(server: FakeServer) -> FakeWorkspace:
    found = server.new_workspace("web", app="1" * 3000, old="1")
    found.save()
    found.live = {"app": "12", "new": "1"}
    found.save("checkpoint")
    moment = datetime.now(timezone.utc) - timedelta(hours=5, minutes=1)
    found.more = {"durable_at": moment.isoformat()}
    return found


def plain(shown: bytes) -> list[str]:
    """The lines without colour."""
    return re.sub(r"\x1b\[[\d;]*m", "", shown.decode()).replace("\r", "").splitlines()


def screen(mags: Command, *args: str, **env: str) -> bytes:
    with Terminal(mags, *args, **env) as terminal:
        return terminal.rest()


def test_list_is_a_table(mags: Command, server: FakeServer, web: FakeWorkspace) -> None:
    server.new_workspace("local").more = {"active_job": "6b1f"}
    damage = {"message": "gone", "at": MADE_AT, "last_good_version": None}
    server.new_workspace("bad").more = {"damaged": damage, "is_saved": True, "size_bytes": 2_500_000}
    shown = screen(mags, "workspace", "list")
    header, _, *rows = plain(shown)
    assert header.split() == ["Name", "Files", "Disk", "Version", "Stored", "Durable", "Used"]
    bad, local, saved = ([cell for cell in re.split(r"\s{2,}", row) if cell] for row in rows)
    assert bad[:2] == ["bad", "2.4 MB"]
    assert bad[-2] == "● damaged"
    assert local == ["local", "2 GB", "● not saved", "now"]
    assert saved[:6] == ["web", "3 B", "2 GB", "2", "3.9 KB", "● 5 h ago"]
    assert "\x1b[32m● 5 h ago" in shown.decode()
    assert "\x1b[31m● damaged" in shown.decode()


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_long_names_give_way_to_figures(
    mags: Command, server: FakeServer, web: FakeWorkspace, columns: int
) -> None:
    server.workspaces["n" * 63] = web
    web.more["name"] = "n" * 63
    _, _, *rows = plain(screen(mags, "workspace", "list", COLUMNS=str(columns)))
    assert all("3.9 KB   ● 5 h ago" in row and len(row) <= columns for row in rows)
    assert all(("…" in row) == (columns < 100) for row in rows)


def test_long_list_names_the_next_page(mags: Command, server: FakeServer) -> None:
    for number in range(3):
        server.new_workspace(f"w{number}")
    shown = plain(screen(mags, "workspace", "list", "-n", "2"))
    assert shown[-1] == "2 of 3. The next: mags workspace list --page 2 -n 2"


def test_empty_lists_say_how_to_begin(mags: Command, server: FakeServer) -> None:
    assert b"mags run -w NAME -p" in screen(mags, "workspace", "list")
    server.new_workspace("local")
    assert b"nothing of local was saved yet" in screen(mags, "workspace", "versions", "local")


def test_versions_are_a_table(mags: Command, web: FakeWorkspace) -> None:
    web.versions[0].more = {"is_damaged": True}
    web.versions[1].more = {"durable_at": None}
    header, _, newest, first = plain(screen(mags, "workspace", "versions", "web"))
    assert header.split() == ["Version", "Reason", "Files", "Stored", "Made", "Durable"]
    assert re.split(r"\s{2,}", newest.strip())[:4] == ["2", "checkpoint", "3 B", "503 B"]
    assert newest.rstrip().endswith("● not yet")
    assert first.rstrip().endswith("● damaged")


def test_diff_has_colours(mags: Command, web: FakeWorkspace) -> None:
    shown = screen(mags, "workspace", "diff", "web", "1").decode()
    for line in ("\x1b[32m+ new\x1b[0m", "\x1b[33m~ app\x1b[0m", "\x1b[31m- old\x1b[0m"):
        assert line in shown


def test_waits_say_what_for_and_go_away_again(mags: Command, server: FakeServer, web: FakeWorkspace) -> None:
    body = json.dumps({"error": "Not yet.", "code": "diff_pending", "retryable": True})
    server.trouble("diff$", "503", times=4, body=body)
    shown = screen(mags, "workspace", "diff", "web").decode()
    assert "comparing versions of web" in shown
    assert shown.rindex("comparing versions of web") < shown.index("~ app")
    mags("run", "-w", "web", "-p", "true")
    server.trouble("sync$", "503", times=4)
    shown = screen(mags, "sync", "web").decode()
    assert "saving web" in shown
    assert shown.rindex("saving web") < shown.index("is saved as version 3")
    assert re.search(r"took .* [\d.]+ m?s", shown)
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back


def test_a_wait_for_a_sandbox_is_shown(mags: Command, server: FakeServer) -> None:
    server.runs_scripts = False
    with Terminal(mags, "run", "x") as terminal:
        terminal.expect(b"waiting for a sandbox")
        server.next_job().emit(b"out\n")
        terminal.expect(b"out")
        server.next_job().finish(0)
        assert terminal.rest().endswith(b"out\r\n")


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
@pytest.mark.parametrize("line", ["list", "show web", "versions web", "diff web 1"])
def test_no_color_means_none(mags: Command, web: FakeWorkspace, env: dict[str, str], line: str) -> None:
    shown = screen(mags, "workspace", *line.split(), **env)
    assert b"\x1b[3" not in shown
    assert len(plain(shown)) >= 3


@pytest.mark.parametrize("answer", [b"y\n", b"n\n", b"\n", None])
def test_delete_asks(mags: Command, server: FakeServer, web: FakeWorkspace, answer: bytes | None) -> None:
    web.more["size_bytes"] = 2_500_000
    with Terminal(mags, "workspace", "delete", "web") as terminal:
        terminal.expect(b"Delete web (2.4 MB, 2 versions)? Nothing brings it back. [y/N]: ")
        terminal.interrupt() if answer is None else terminal.type(answer)
        shown = terminal.rest()
        assert b"Traceback" not in shown
        assert terminal.process.returncode == (0 if answer == b"y\n" else 130)
    assert (server.workspaces == {}) == (answer == b"y\n")


def test_upload_shows_a_bar_that_goes_away(mags: Command, server: FakeServer) -> None:
    with (mags.directory / "data").open("wb") as file:
        file.truncate(300_000_000)
    shown = screen(mags, "run", "-f", "data", "echo hi")
    assert "uploading data" in shown.decode()
    assert "286 MB of 286 MB" in shown.decode()
    assert plain(shown)[-1].endswith("hi")
    assert shown.endswith(b"\x1b[2Khi\r\n")


def test_interrupted_upload_leaves_the_terminal_as_it_was(mags: Command, server: FakeServer) -> None:
    with (mags.directory / "data").open("wb") as file:
        file.truncate(20_000_000_000)
    with Terminal(mags, "run", "-f", "data", "true") as terminal:
        terminal.expect(b"uploading data")
        terminal.type(b"\x03")
        shown = terminal.rest()
        assert terminal.process.returncode == 130
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")  # the cursor is back
    assert b"nothing was run" in shown
    assert server.jobs == {}


def test_retry_during_an_upload_is_said_above_the_bar(mags: Command, server: FakeServer) -> None:
    (mags.directory / "data").write_bytes(bytes(500_000))
    server.trouble("mags-files", "hang_up")
    shown = screen(mags, "run", "-f", "data", "echo hi").decode()
    assert shown.count("trying again") == 1
    assert shown.endswith("hi\r\n")
