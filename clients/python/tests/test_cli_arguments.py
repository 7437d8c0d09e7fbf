"""What `mags` makes of its arguments."""

from __future__ import annotations

import pytest
from conftest import Command
from fake_server import FakeServer


def test_flags_reach_the_server(mags: Command, server: FakeServer) -> None:
    flags = ["-n", "build", "-e", "--env", "A=1=2", "--env", "MINE", "--memory", "2g", "--cpus", "3"]
    flags += ["--disk", "10g", "--timeout", "5m", "--retries", "2"]
    assert mags("run", *flags, "true", env={"MINE": "yes"}).returncode == 0
    assert server.next_job().sent == {
        "script": "true",
        "type": "inline",
        "name": "build",
        "environment": {"A": "1=2", "MINE": "yes"},
        "memory_mb": 2048,
        "vcpus": 3,
        "disk_gb": 10,
        "timeout": 300,
        "retries": 2,
    }


def test_words_after_dashes_are_one_command(mags: Command) -> None:
    assert (
        mags("run", "--", "printf", "%s|", "a b", "$HOME", "--json", "-n").stdout == b"a b|$HOME|--json|-n|"
    )


def test_file_stdin_and_text_are_told_apart(mags: Command) -> None:
    (mags.directory / "job.sh").write_text("echo from the file")
    assert mags("run", "job.sh").stdout == b"from the file\n"
    assert mags("run", str(mags.directory / "job.sh")).stdout == b"from the file\n"
    assert mags("run", "-", input="echo é".encode()).stdout == "é\n".encode()
    assert mags("run", "echo job.sh").stdout == b"job.sh\n"
    assert mags("run", "echo " + "x" * 5000).stdout == b"x" * 5000 + b"\n"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["run"], b"Give a script"),
        (["run", "--"], b"no command after --"),
        (["run", "   "], b"script is empty"),
        (["run", "-"], b"stdin is empty"),
        (["run", "ls", "x y"], b"mags run -- ls 'x y'"),
        (["run", "ls", "-la"], b"after --"),
        (["run", "binary"], b"not UTF-8"),
        (["run", "--env", "1A=x", "true"], b"not a variable's name"),
        (["run", "--env", "NOWHERE", "true"], b"NOWHERE is not set here"),
        (["run", "--memory", "lots", "true"], b"is not a size"),
        (["run", "--memory", "0", "true"], b"is not a size"),
        (["run", "--disk", "1.5", "true"], b"whole GB"),
        (["run", "--timeout", "soon", "true"], b"is not a time"),
        (["run", "--cpus", "0", "true"], b"cpus"),
        (["run", "--url", "true"], b"needs -p"),
        (["run", "-p", "--port", "80", "true"], b"needs --url"),
        (["run", "--no-sleep", "true"], b"--no-sleep needs -p"),
        (["run", "--startup-command", "x", "true"], b"--startup-command needs -p"),
        (["new", "box", "--url"], b"--url needs -p"),
        (["new", "box", "--no-sleep"], b"--no-sleep needs -p"),
        (["new", "box", "-e"], b"-e"),
        (["new"], b"NAME"),
        (["set", "box"], b"Give what to change"),
        (["nonsense"], b"No such command"),
        (["status"], b"Missing argument"),
        (["list", "-n", "0"], b"limit"),
    ],
)
def test_wrong_usage_is_2_and_sends_nothing(
    mags: Command, server: FakeServer, args: list[str], says: bytes
) -> None:
    (mags.directory / "binary").write_bytes(b"\x7fELF\xff\xfe")
    ran = mags(*args)
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert says in ran.stderr
    assert server.paths == []
