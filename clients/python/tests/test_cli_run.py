"""`mags run` as a process: output, exit codes, arguments, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import Command
from fake_server import FakeServer

REASONS = [
    ("oom", 137, b"mags: The sandbox ran out of memory. Give it more with --memory."),
    ("timed_out", 124, b"mags: The script did not end within its timeout."),
    ("disk_full", 1, b"disk was full. Give it more with --disk."),
    ("start_failed", None, b"mags: There is no such image."),
    ("host_lost", None, b"The host that ran it was lost."),
]


def test_output_and_exit_code_are_the_scripts(mags: Command) -> None:
    ran = mags("run", "echo out; echo err >&2; exit 3")
    assert (ran.stdout, ran.stderr, ran.returncode) == (b"out\n", b"err\n", 3)


def test_output_is_byte_exact(mags: Command, server: FakeServer) -> None:
    data = bytes(range(256)) * 50 + b"\r\n\n\xff\xc3" + "é".encode() + b"\x1b[31mred" + b"no end"
    (mags.directory / "data").write_bytes(data)
    ran = mags("run", f"cat {mags.directory}/data; cat {mags.directory}/data >&2")
    assert ran.stdout == data
    assert ran.stderr == data


def test_output_comes_as_it_is_written(mags: Command, server: FakeServer) -> None:
    server.runs_scripts = False
    running = mags.start("run", "x")
    job = server.next_job()
    with running:
        assert running.stdout is not None
        for part in (b"one\n", b"Password: ", b"two\n"):
            job.emit(part)
            assert os.read(running.stdout.fileno(), 100) == part
        job.finish(0)
        assert running.wait(20) == 0


def test_finished_job_costs_no_extra_request(mags: Command, server: FakeServer) -> None:
    assert mags("run", "sleep 0.1; echo hi").returncode == 0
    assert len([path for path in server.paths if "/logs" in path]) <= 3
    assert server.connections == 1


@pytest.mark.parametrize(("reason", "code", "sentence"), REASONS)
def test_script_that_could_not_end_is_125_and_says_why(
    mags: Command, server: FakeServer, reason: str, code: int | None, sentence: bytes
) -> None:
    server.runs_scripts = False
    with mags.start("run", "x") as running:
        server.next_job().emit(b"partial")
        message = "There is no such image." if reason == "start_failed" else ""
        server.next_job().finish(code, "error", reason=reason, message=message)
        out, err = running.communicate(timeout=20)
    assert (out, running.returncode) == (b"partial", 125)
    assert sentence in err


def test_job_that_somebody_stops_says_so_and_is_143(mags: Command, server: FakeServer) -> None:
    with mags.start("run", "echo go; sleep 60") as running:
        assert running.stdout is not None
        running.stdout.read(3)
        mags("stop", server.next_job().id)
        assert running.wait(20) == 143
        assert running.stderr is not None
        assert running.stderr.read() == b"mags: stopped\n"


def test_waiting_for_a_host_is_said_once(mags: Command, server: FakeServer) -> None:
    server.runs_scripts = False
    with mags.start("run", "x") as running:
        job = server.next_job()
        job.wait("no_capacity", "")
        assert running.stderr is not None
        assert running.stderr.readline() == b"mags: waiting: No host has room.\n"
        job.emit(b"hi\n")
        job.finish(0)
        out, err = running.communicate(timeout=20)
    assert (out, err) == (b"hi\n", b"")


def test_notes_of_the_platform_go_to_stderr_with_control_bytes_escaped(
    mags: Command, server: FakeServer
) -> None:
    server.runs_scripts = False
    with mags.start("run", "x") as running:
        job = server.next_job()
        job.emit(b"out\n")
        job.emit("5 bytes dropped \x1b]0;evil\x07\u202e\n".encode(), 3)
        job.finish(0)
        out, err = running.communicate(timeout=20)
    assert out == b"out\n"
    assert err == b"mags: 5 bytes dropped \\x1b]0;evil\\x07\\u202e\n"


def test_first_interrupt_stops_the_job(mags: Command, server: FakeServer) -> None:
    with mags.start("run", "trap '' INT; echo go; sleep 60") as running:
        assert running.stdout is not None
        assert running.stdout.read(3) == b"go\n"
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
    assert (out, running.returncode) == (b"", 130)
    assert b"stopping the job" in err
    assert server.next_job().reason == "stopped"


def test_sigterm_stops_the_job_too(mags: Command, server: FakeServer) -> None:
    with mags.start("run", "echo go; sleep 60") as running:
        assert running.stdout is not None
        running.stdout.read(3)
        running.terminate()
        assert running.wait(20) == 143
    assert server.next_job().reason == "stopped"


def test_second_interrupt_leaves_the_job(mags: Command, server: FakeServer) -> None:
    server.runs_scripts = False
    server.trouble("stop$", "200", body='{"status": "running"}')  # a job that takes its time to die
    with mags.start("run", "x") as running:
        job = server.next_job()
        job.emit(b"go\n")
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(3)
        running.send_signal(signal.SIGINT)
        assert b"stopping" in running.stderr.readline()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=20)
    assert running.returncode == 130
    assert f"mags logs -f {job.id}".encode() in err
    assert not job.is_final


def test_sigterm_does_not_wait_for_ever(mags: Command, server: FakeServer) -> None:
    server.runs_scripts = False
    server.trouble("stop$", "200", body='{"status": "running"}')  # its host is away
    with mags.start("run", "x") as running:
        job = server.next_job()
        job.emit(b"go\n")
        assert running.stdout is not None
        running.stdout.read(3)
        running.terminate()
        _, err = running.communicate(timeout=20)
    assert (running.returncode, job.is_final) == (143, False)
    assert b"the job may still run" in err


def test_output_after_an_interrupt_is_not_lost(mags: Command, server: FakeServer) -> None:
    server.runs_scripts = False
    server.trouble("stop$", "200", body='{"status": "running"}')
    with mags.start("run", "x") as running:
        job = server.next_job()
        job.emit(b"go\n")
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(3)
        running.send_signal(signal.SIGINT)
        running.stderr.readline()
        job.emit(b"cleaning up\n")
        job.finish(143, reason="stopped")
        out, _ = running.communicate(timeout=20)
    assert out == b"cleaning up\n"


def test_reader_that_goes_away_stops_the_job_quietly(mags: Command, server: FakeServer) -> None:
    script = "i=0; while :; do i=$((i+1)); echo $i; done"
    with mags.start("run", script) as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.wait(30) == 141
        assert running.stderr is not None
        assert running.stderr.read() == b""
    assert server.next_job().reason == "stopped"


def test_detach_prints_the_id_alone(mags: Command, server: FakeServer) -> None:
    ran = mags("run", "--detach", "-n", "bg", "sleep 60")
    job = server.next_job()
    assert (ran.stdout.decode(), ran.returncode) == (job.id + "\n", 0)
    assert b"mags logs -f bg" in ran.stderr
    assert not job.is_final
    assert json.loads(mags("run", "--detach", "--json", "true").stdout)["status"] == "accepted"
    mags("stop", "bg")


def test_json_is_one_object_with_the_output(mags: Command) -> None:
    ran = mags("run", "--json", "echo a; sleep 0.05; echo b >&2; exit 4")
    result = json.loads(ran.stdout)
    assert (result["status"], result["exit_code"], ran.returncode) == ("completed", 4, 4)
    assert [(entry["stream"], entry["message"]) for entry in result["logs"]] == [
        ("stdout", "a"),
        ("stderr", "b"),
    ]


def test_server_that_restarts_in_the_middle_loses_nothing(mags: Command, server: FakeServer) -> None:
    server.runs_scripts = False
    with mags.start("run", "x") as running:
        job = server.next_job()
        job.emit(b"one\n")
        assert running.stdout is not None
        assert running.stdout.read(4) == b"one\n"
        server.trouble("logs", "drop", times=3)
        job.emit(b"two\n")  # answers the request under way; those after it are cut
        assert running.stdout.read(4) == b"two\n"
        job.finish(0)
        out, err = running.communicate(timeout=20)
    assert (out, running.returncode) == (b"", 0)
    assert err.count(b"trying again") == 1


def test_server_that_is_away_is_125_with_the_remedy(mags: Command) -> None:
    ran = mags("run", "true", env={"MAGS_API_URL": "http://127.0.0.1:1"})
    assert ran.returncode == 125
    assert b"Error: Cannot reach http://127.0.0.1:1" in ran.stderr
    assert b"MAGS_API_URL" in ran.stderr
    assert b"Traceback" not in ran.stderr


def test_refusal_of_the_server_is_125_with_what_it_said(mags: Command, server: FakeServer) -> None:
    body = {"error": "The request is not valid.", "code": "invalid", "fields": {"memory_mb": ["Too much."]}}
    server.trouble("mags-jobs", "400", body=json.dumps(body))
    ran = mags("run", "true")
    assert ran.returncode == 125
    assert ran.stderr == b"Error: The request is not valid.\n  memory_mb: Too much.\n"


def test_cwd_that_is_gone_is_no_traceback(mags: Command, tmp_path: Path) -> None:
    ran = subprocess.run(
        ["sh", "-c", 'd=$(mktemp -d); cd "$d"; rmdir "$d"; "$@"', "sh", *Command.line("run", "echo hi")],
        env=mags.environment,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (ran.stdout, ran.returncode) == (b"hi\n", 0), ran.stderr
