"""The other commands as processes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from conftest import Command
from fake_server import TOKEN, FakeServer

from mags.cli.app import COMMANDS

LOGGED_OUT = {"MAGS_API_TOKEN": None, "MAGS_API_URL": None}


def test_help_and_version_need_nothing(mags: Command, server: FakeServer) -> None:
    shown = mags(env=LOGGED_OUT)
    assert shown.returncode == 0
    assert b"mags run 'echo Hello World'" in shown.stdout
    assert mags("--help", env=LOGGED_OUT).stdout == shown.stdout
    assert mags("--version", env=LOGGED_OUT).stdout.startswith(b"mags 0.")
    assert server.paths == []


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help(mags: Command, command: str) -> None:
    shown = mags(command, "--help")
    assert shown.returncode == 0
    assert f"Usage: mags {command}".encode() in shown.stdout


def test_logs_show_what_was_written_where_it_was_written(mags: Command) -> None:
    mags("run", "-n", "job", "echo a; sleep 0.05; echo b >&2; sleep 0.05; printf '\\377c'")
    ran = mags("logs", "job")
    assert (ran.stdout, ran.stderr, ran.returncode) == (b"a\n\xffc", b"b\n", 0)
    stamped = mags("logs", "-t", "job")
    assert stamped.stdout.splitlines()[0] == b"2026-11-23T07:30:00.123Z a"
    lines = [json.loads(line) for line in mags("logs", "--json", "job").stdout.splitlines()]
    assert [line["stream"] for line in lines] == ["stdout", "stderr", "stdout"]


def test_logs_read_every_page(mags: Command, server: FakeServer) -> None:
    mags("run", "-n", "job", "seq 25000")
    assert mags("logs", "job").stdout == b"".join(b"%d\n" % number for number in range(1, 25001))
    assert server.requests["GET /api/v1/mags-jobs/job/logs"] >= 3


def test_logs_follow_to_the_end_and_succeed_whatever_the_end(mags: Command, server: FakeServer) -> None:
    server.runs_scripts = False
    mags("run", "--detach", "-n", "job", "x")
    job = server.next_job()
    with mags.start("logs", "-f", "job") as following:
        assert following.stdout is not None
        job.emit(b"one\n")
        assert following.stdout.read(4) == b"one\n"
        job.emit(b"two\n")
        job.finish(9)
        assert following.communicate(timeout=20)[0] == b"two\n"
    assert following.returncode == 0


def test_interrupt_of_following_leaves_the_job(mags: Command, server: FakeServer) -> None:
    server.runs_scripts = False
    mags("run", "--detach", "-n", "job", "x")
    job = server.next_job()
    job.emit(b"one\n")
    with mags.start("logs", "-f", "job") as following:
        assert following.stdout is not None
        following.stdout.read(4)
        following.send_signal(2)
        assert following.communicate(timeout=20) == (b"", b"")
    assert following.returncode == 130
    assert not job.is_final


def test_status_is_a_card_or_json(mags: Command) -> None:
    mags("run", "-n", "job", "exit 2")
    card = mags("status", "job").stdout.decode()
    assert card.splitlines()[0] == "● completed  exit 2"
    assert "timings   queued 2 ms → assigned 3 ms → started 21 ms → script 1.2 s" in card
    assert "box (container)" in card
    assert json.loads(mags("status", "--json", "job").stdout)["exit_code"] == 2


def test_piped_list_is_columns_and_tabs(mags: Command, server: FakeServer) -> None:
    mags("run", "-n", "a", "exit 2")
    mags("run", "--detach", "-n", "b", "sleep 60")
    header, *rows = [line.split("\t") for line in mags("list").stdout.decode().splitlines()]
    assert header == ["ID", "NAME", "STATUS", "REASON", "EXIT", "CREATED", "DURATION_MS", "SANDBOX"]
    assert [row[1] for row in rows] == ["b", "a"]
    assert rows[1][2:5] == ["completed", "", "2"]
    only = mags("list", "--status", "completed", "--json", "-n", "1").stdout
    assert [job["name"] for job in json.loads(only)["jobs"]] == ["a"]
    mags("stop", "b")


def test_names_cannot_steer_the_terminal(mags: Command, server: FakeServer) -> None:
    mags("run", "-n", "job", "true")
    server.next_job().sent["name"] = "a\x1b[2J\tb\n\u202ec"
    assert b"a\\x1b[2J\\tb\\n\\u202ec" in mags("list").stdout
    assert b"\x1b" not in mags("status", server.next_job().id).stdout


def test_stop_says_what_became_of_it(mags: Command) -> None:
    mags("run", "--detach", "-n", "job", "sleep 60")
    assert mags("stop", "job").stdout == b"job has ended.\n"
    assert mags("stop", "job").returncode == 0
    gone = mags("stop", "nobody")
    assert (gone.returncode, gone.stderr) == (
        125,
        b"Error: There is no such thing here.\n  Check the name or id.\n",
    )


def test_login_saves_what_works_and_only_that(mags: Command, server: FakeServer, home: Path) -> None:
    file = home / ".mags" / "config.json"
    refused = mags("login", "--url", server.url, "--token", "wrong", env=LOGGED_OUT)
    assert refused.returncode == 125
    assert b"This token is not known" in refused.stderr
    assert not file.exists()

    logged_in = mags("login", "--url", server.url + "/", "--token", TOKEN, env=LOGGED_OUT)
    assert logged_in.stdout == f"Logged in to {server.url} as you@example.org.\n".encode()
    assert file.stat().st_mode & 0o777 == 0o600
    assert TOKEN.encode() not in logged_in.stdout + logged_in.stderr

    assert mags("whoami", env=LOGGED_OUT).stdout == b"you@example.org\n"
    assert mags("logout", env=LOGGED_OUT).returncode == 0
    assert not file.exists()
    assert b"mags login" in mags("whoami", env=LOGGED_OUT).stderr


@pytest.mark.parametrize("args", [[], ["--token", "-"]])
def test_login_reads_a_token_from_a_pipe(mags: Command, server: FakeServer, args: list[str]) -> None:
    ran = mags("login", "--url", server.url, *args, env=LOGGED_OUT, input=TOKEN.encode() + b"\n")
    assert ran.returncode == 0, ran.stderr
    assert mags("whoami", env=LOGGED_OUT).returncode == 0


def test_login_repairs_a_broken_file(mags: Command, server: FakeServer, home: Path) -> None:
    (home / ".mags").mkdir()
    (home / ".mags" / "config.json").write_text("{")
    broken = mags("whoami", env=LOGGED_OUT)
    assert broken.returncode == 125
    assert b"Run `mags login`" in broken.stderr
    assert mags("login", "--url", server.url, "--token", TOKEN, env=LOGGED_OUT).returncode == 0


def test_whoami_says_where_the_token_is_from(mags: Command, server: FakeServer) -> None:
    assert f"on {server.url}, token from MAGS_API_TOKEN".encode() in mags("whoami").stderr
    assert json.loads(mags("whoami", "--json").stdout)["api_url"] == server.url


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_names_the_command(mags: Command, shell: str) -> None:
    ran = mags("completion", shell)
    assert ran.returncode == 0
    assert b"_MAGS_COMPLETE" in ran.stdout


def test_completion_completes(mags: Command) -> None:
    words = {"_MAGS_COMPLETE": "bash_complete", "COMP_WORDS": "mags lo", "COMP_CWORD": "1"}
    assert mags(env=words).stdout == b"plain,logs\nplain,login\nplain,logout\n"


def test_closed_reader_is_no_traceback(mags: Command) -> None:
    mags("run", "true")
    read_end, write_end = os.pipe()
    os.close(read_end)
    with mags.start("list", stdout=write_end) as listing:
        os.close(write_end)
        assert listing.stderr is not None
        assert listing.stderr.read() == b""


HEAVY = {"httpx", "rich", "asyncio", "urllib.request", "email", "requests", "importlib.metadata"}


@pytest.mark.parametrize(
    ("args", "heavy"), [(["--version"], {*HEAVY, "httpcore", "json"}), (["run", "true"], HEAVY)]
)
def test_nothing_heavy_is_imported_before_it_is_needed(
    mags: Command, args: list[str], heavy: set[str]
) -> None:
    traced = mags(*args, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert traced.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in traced.stderr.decode().splitlines()}
    assert "click" in imported
    assert imported & heavy == set()
