"""What the command does on a terminal."""

from __future__ import annotations

import pytest
from conftest import Command
from fake_server import TOKEN, FakeServer
from pseudo_terminal import Terminal


def test_list_is_a_table_with_colour(mags: Command, server: FakeServer) -> None:
    mags("run", "-n", "build", "exit 2")
    with Terminal(mags, "list") as terminal:
        shown = terminal.rest().decode()
    assert "Name" in shown
    assert server.next_job().id in shown
    assert "\x1b[31m● completed" in shown


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
@pytest.mark.parametrize("command", [["list"], ["status", "build"], []])
def test_no_color_means_none(mags: Command, env: dict[str, str], command: list[str]) -> None:
    mags("run", "-n", "build", "exit 2")
    with Terminal(mags, *command, **env) as terminal:
        shown = terminal.rest()
    assert b"build" in shown
    assert b"\x1b[3" not in shown


def test_empty_list_says_how_to_begin(mags: Command) -> None:
    with Terminal(mags, "list") as terminal:
        assert b"mags run 'echo Hello World'" in terminal.rest()


def test_login_asks_for_the_token_and_does_not_show_it(mags: Command, server: FakeServer) -> None:
    with Terminal(
        mags, "login", "--token", "-", "--url", server.url, MAGS_API_TOKEN=None, MAGS_API_URL=None
    ) as terminal:
        terminal.expect(b"Paste the token")
        terminal.type(TOKEN.encode() + b"\n")
        shown = terminal.rest()
    assert b"you@example.org" in shown
    assert TOKEN.encode() not in shown


def test_ctrl_c_while_asked_is_130(mags: Command) -> None:
    with Terminal(mags, "login", "--token", "-") as terminal:
        terminal.expect(b"Paste the token")
        terminal.interrupt()
        assert b"Traceback" not in terminal.rest()
        assert terminal.process.returncode == 130


def test_ctrl_c_stops_the_job(mags: Command, server: FakeServer) -> None:
    with Terminal(mags, "run", "echo go; sleep 60") as terminal:
        terminal.expect(b"go")
        terminal.type(b"\x03")
        assert b"stopping the job" in terminal.rest()
        assert terminal.process.returncode == 130
    assert server.next_job().reason == "stopped"


def test_note_after_an_unfinished_line_begins_a_new_one(mags: Command, server: FakeServer) -> None:
    server.runs_scripts = False
    with Terminal(mags, "run", "x") as terminal:
        server.next_job().emit(b"50 %")
        terminal.expect(b"50 %")
        server.next_job().finish(137, "error", reason="oom")
        assert b"50 %\r\n\x1b[2mmags: The sandbox ran out of memory" in terminal.rest()


def test_escapes_of_the_script_reach_the_terminal_as_they_are(mags: Command) -> None:
    with Terminal(mags, "run", "printf '\\033[32mgreen\\033[0m\\n'") as terminal:
        assert b"\x1b[32mgreen\x1b[0m\r\n" in terminal.rest()
