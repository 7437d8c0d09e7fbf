"""`mags ssh` and `mags cp`: what they hand to the system's ssh. (With a real one: tests/e2e/test_ssh.py.)"""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from conftest import Command
from fake_server import FakeServer
from fake_urls import SSH

# Prints what it was called with, one word a line, and leaves with 7.
ECHO = '#!/bin/sh\nprintf "%s\\n" "$0" "$@"\nexit 7\n'


@pytest.fixture
def job(mags: Command) -> str:
    assert mags("run", "-d", "-w", "web", "-p", "true").returncode == 0
    return "web"


@pytest.fixture
def tools(mags: Command, tmp_path: Path) -> Path:
    """A directory with an ssh and an scp, the only ones that the command finds."""
    directory = tmp_path / "tools"
    directory.mkdir()
    for name in ("ssh", "scp"):
        (directory / name).write_text(ECHO)
        (directory / name).chmod(0o755)
    mags.environment["PATH"] = f"{directory}"
    return directory


def words(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    assert done.returncode == 7, done.stderr
    return done.stdout.decode().splitlines()


def option(given: list[str], name: str) -> str:
    [value] = [word.partition("=")[2] for word in given if word.startswith(f"{name}=")]
    return value


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize("separator", [[], ["--"]])
def test_ssh_gets_the_key_the_port_and_the_words(
    mags: Command, tools: Path, home: Path, separator: list[str]
) -> None:
    given = words(mags("ssh", "web", *separator, "-L", "1:localhost:2", "ls -l", "--", "-x"))
    assert given[:3] == [str(tools / "ssh"), "-p", "22417"]
    assert given[-6:] == ["root@127.0.0.1", "-L", "1:localhost:2", "ls -l", "--", "-x"]
    key = home / ".mags/ssh/127.0.0.1-22417"
    assert option(given, "IdentityFile") == f'"{key}"'
    assert option(given, "UserKnownHostsFile") == f'"{key}.known_hosts"'
    assert (option(given, "StrictHostKeyChecking"), option(given, "ForwardAgent")) == ("yes", "no")
    assert key.read_text() == SSH["ssh_private_key"]
    assert Path(f"{key}.known_hosts").read_text() == SSH["known_hosts"] + "\n"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (key.parent, key)] == [0o700, 0o600]


@pytest.mark.usefixtures("job", "tools")
def test_another_host_key_behind_the_same_port_is_told(mags: Command, server: FakeServer) -> None:
    assert mags("ssh", "web").stderr == b""
    server.ssh_changes = {"ssh_host_key": "ssh-ed25519 BBBB"}
    assert b"another sandbox" in mags("ssh", "web").stderr
    assert mags("ssh", "web").stderr == b""


@pytest.mark.usefixtures("job", "tools")
@pytest.mark.parametrize(
    "changes",
    [
        {"ssh_host": "-oProxyCommand=true"},
        {"ssh_host": "a b"},
        {"ssh_user": "-x"},
        {"ssh_port": 0},
        {"ssh_host_key": "ssh-ed25519 A\n* B"},
    ],
)
def test_what_could_be_read_as_something_else_is_refused(
    mags: Command, server: FakeServer, home: Path, changes: dict[str, object]
) -> None:
    server.ssh_changes = changes
    assert mags("ssh", "web").returncode == 125
    assert not (home / ".mags/ssh").exists()


@pytest.mark.usefixtures("job", "tools")
def test_it_waits_for_what_is_not_up_yet(mags: Command, server: FakeServer) -> None:
    server.trouble("access$", "409", body='{"error": "Not yet.", "code": "sandbox_starting"}')
    assert words(mags("ssh", "web"))[-1] == "root@127.0.0.1"
    assert server.requests["POST /api/v1/mags-jobs/web/access"] == 2


@pytest.mark.usefixtures("job")
def test_without_ssh_nothing_is_asked(mags: Command, server: FakeServer, tools: Path) -> None:
    (tools / "ssh").unlink()
    before = len(server.paths)
    done = mags("ssh", "web")
    assert (done.returncode, b"not installed" in done.stderr) == (125, True)
    assert len(server.paths) == before


@pytest.mark.usefixtures("job")
def test_a_block_of_configuration(mags: Command) -> None:
    lines = mags("ssh", "--config", "web").stdout.decode().splitlines()
    assert lines[:4] == ["Host mags-web", "  HostName 127.0.0.1", "  Port 22417", "  User root"]
    assert "  StrictHostKeyChecking yes" in lines


@pytest.mark.usefixtures("job")
def test_a_key_is_revoked(mags: Command, server: FakeServer) -> None:
    assert mags("ssh", "--revoke", "web").stdout == b"Your SSH key to web is revoked.\n"
    assert server.requests["DELETE /api/v1/mags-jobs/web/ssh-key"] == 1


@pytest.mark.usefixtures("job", "tools")
@pytest.mark.parametrize(
    ("given", "paths"),
    [
        (["a", "b/c:d", "web:x"], ["./a", "./b/c:d", "root@127.0.0.1:x"]),
        (["-r", "web:/var/log", "-logs"], ["-r", "--", "root@127.0.0.1:/var/log", "./-logs"]),
        (["/a b", "web:"], ["/a b", "root@127.0.0.1:"]),
    ],
)
def test_cp_says_which_side_is_the_sandbox(mags: Command, given: list[str], paths: list[str]) -> None:
    arguments = [word for word in given if word == "-r"] + ["--"] + [word for word in given if word != "-r"]
    said = words(mags("cp", *arguments))
    assert said[-len(paths) :] == paths
    assert said[1:3] == ["-P", "22417"]


@pytest.mark.parametrize("given", [["a", "b"], ["web:a", "web:b"], ["a", "web:b", "other:c"], ["web:a"], []])
def test_cp_from_nowhere_to_nowhere_is_2(mags: Command, server: FakeServer, given: list[str]) -> None:
    assert mags("cp", *given).returncode == 2
    assert not server.paths


def test_a_strangers_job_is_not_there(mags: Command, tools: Path) -> None:
    assert mags("ssh", "nobody").returncode == 125
