"""SSH on a whole stack, by real clients: OpenSSH's, rsync, and our own command.

Paramiko: tests/contract/test_published_ssh.py. Restarts of the server: test_rush.py.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.layout import ROOT
from tests.e2e.running import RunningStack
from tests.servers import free_ports

pytestmark = [pytest.mark.stack, pytest.mark.privileged, pytest.mark.timeout(300)]

CLIENT = ROOT / "clients/python/src"
NAME = "ssh-box"
PROGRAM = """
import socket
server = socket.create_server(("127.0.0.1", 9100))
print("up", flush=True)
while True:
    server.accept()[0].sendall(b"inside")
"""
SERVER = ("--", f"exec python3 -c {shlex.quote(PROGRAM)}")


class Person:
    """Somebody who types `mags ...`, at home in a directory of their own."""

    def __init__(self, stack: RunningStack, home: Path) -> None:
        self.home = home
        self.environment = {**stack.environment(), "PYTHONPATH": str(CLIENT), "HOME": str(home)}

    def mags(self, *words: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "mags", *words]
        return self.run(*command, data=data)

    def run(self, *command: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            command,
            input=data,
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            timeout=90,
            check=False,
        )

    @contextlib.contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """`mags` beside the block."""
        process = subprocess.Popen(
            [sys.executable, "-m", "mags", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=self.environment, cwd=self.home,
        )  # fmt: skip
        with process:
            try:
                yield process
            finally:
                process.kill()  # OpenSSH 9.2 may miss a SIGTERM until something else happens


@pytest.fixture(scope="module")
def person(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    person = Person(stack, tmp_path_factory.mktemp("home"))
    made = person.mags("run", "-w", NAME, "-p", "true")
    assert made.returncode == 0, made.stderr
    yield person
    with stack.client() as client:
        client.post(f"/mags-jobs/{NAME}/stop")


def test_commands_have_their_input_output_and_code(person: Person) -> None:
    done = person.mags("ssh", NAME, "--", "id -un; cat; echo no >&2; exit 7", data=b"typed")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"root\ntyped", b"no\n")


def test_the_operator_sees_how_far_a_login_goes(person: Person, stack: RunningStack) -> None:
    person.mags("ssh", NAME, "true")
    with stack.client() as client:
        job = client.get(f"/mags-jobs/{NAME}").json()["id"]
        assert "logged in: SSH-2.0-OpenSSH" in stack.manage("ssh_check", job)
        client.delete(f"/mags-jobs/{NAME}/ssh-key").raise_for_status()
    with pytest.raises(Exception, match="Nobody has a key to this job's sandbox"):
        stack.manage("ssh_check", job)


def test_a_shell_has_a_terminal(person: Person) -> None:
    done = person.mags("ssh", NAME, "--", "-tt", data=b"tty; exit 3\n")
    assert (done.returncode, b"/dev/pts/" in done.stdout) == (3, True)


def test_files_are_copied_both_ways(person: Person) -> None:
    data = os.urandom(200_000)
    (person.home / "tree").mkdir()
    (person.home / "tree/a b:c").write_bytes(data)
    up = person.mags("cp", "-r", "tree", f"{NAME}:/srv/")
    assert up.returncode == 0, up.stderr
    down = person.mags("cp", f"{NAME}:/srv/tree/a b:c", "back")
    assert down.returncode == 0, down.stderr
    assert (person.home / "back").read_bytes() == data


def test_other_programs_use_the_configuration(person: Person) -> None:
    """As rsync and editors do: `ssh -F <file> <name>`."""
    config = person.mags("ssh", "--config", NAME)
    (person.home / "config").write_bytes(config.stdout)
    (person.home / "source").mkdir()
    (person.home / "source/file").write_text("hello")
    copied = person.run("rsync", "-a", "-e", "ssh -F config", "source/", f"mags-{NAME}:/srv/synced/")
    assert copied.returncode == 0, copied.stderr
    read = person.run("sftp", "-F", "config", "-b", "-", f"mags-{NAME}", data=b"get /srv/synced/file got\n")
    assert (read.returncode, (person.home / "got").read_text()) == (0, "hello")


def test_a_forwarded_port_ends_inside_and_not_at_the_host(person: Person) -> None:
    routers = person.mags("ssh", NAME, "ip route show default").stdout.split()
    local, proxy, *others = free_ports(4)
    with socket.create_server(("", 0)) as canary, person.started("ssh", NAME, *SERVER) as inside:
        assert line(inside) == b"up\n"
        hosts = canary.getsockname()[1]
        socket.create_connection(("127.0.0.1", hosts)).close()
        canary.accept()[0].close()  # from here it is reached
        forwards = [f"-L{local}:127.0.0.1:9100", f"-D{proxy}"]
        targets = ("127.0.0.1", routers[2].decode())  # what is the host's side of the sandbox's network
        forwards += [f"-L{port}:{target}:{hosts}" for port, target in zip(others, targets, strict=True)]
        with person.started("ssh", NAME, "-N", *forwards):
            with connected(local) as sock:
                assert sock.recv(6) == b"inside"
            with connected(proxy) as sock:  # SOCKS 5, as editors use it: no authentication, CONNECT
                sock.sendall(b"\5\1\0" + b"\5\1\0\1" + socket.inet_aton("127.0.0.1") + (9100).to_bytes(2))
                assert sock.recv(2) + sock.recv(2) == b"\5\0\5\0"
            for port in others:
                with connected(port) as sock:
                    assert sock.recv(1) == b""  # refused
        canary.settimeout(0)
        with pytest.raises(BlockingIOError):
            canary.accept()


def test_a_port_of_this_machine_can_be_lent_to_the_sandbox(person: Person) -> None:
    """By the client's own wish only; it listens on the sandbox's loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        lent = f"9200:127.0.0.1:{server.getsockname()[1]}"
        with person.started("ssh", NAME, "-R", lent, "echo up; exec nc -d 127.0.0.1 9200") as process:
            assert line(process) == b"up\n"
            server.settimeout(20)
            with server.accept()[0] as sock:
                sock.sendall(b"lent\n")
                assert line(process) == b"lent\n"


def line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def connected(port: int) -> socket.socket:
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=20)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_revoked_key_puts_its_owner_out(person: Person) -> None:
    with person.started("ssh", NAME, "--", "echo up; exec sleep 1000") as process:
        assert line(process) == b"up\n"
        config = person.mags("ssh", "--config", NAME).stdout
        (person.home / "revoked").write_bytes(config)
        key = next((person.home / ".mags/ssh").glob("*[0-9]"))
        former = key.read_bytes()
        assert person.mags("ssh", "--revoke", NAME).stdout == f"Your SSH key to {NAME} is revoked.\n".encode()
        assert process.wait(5) == 255
    refused = person.run("ssh", "-F", "revoked", f"mags-{NAME}", "true")
    assert (refused.returncode, b"Permission denied (publickey)" in refused.stderr) == (255, True)
    assert person.mags("ssh", NAME, "true").returncode == 0
    assert key.read_bytes() != former


def test_the_same_port_and_host_key_lead_to_the_next_sandbox(person: Person, stack: RunningStack) -> None:
    """A plain ssh wakes what was stopped."""
    config = person.mags("ssh", "--config", NAME).stdout
    (person.home / "known").write_bytes(config)
    before = person.mags("ssh", NAME, "echo kept > /root/kept; hostname").stdout
    with stack.client() as client:
        client.post(f"/mags-jobs/{NAME}/stop")
        while client.get(f"/mags-jobs/{NAME}").json()["sandbox"] != "none":
            time.sleep(0.1)
    after = person.run("ssh", "-F", "known", f"mags-{NAME}", "cat /root/kept; hostname")
    assert after.returncode == 0, after.stderr
    kept, name = after.stdout.splitlines()
    assert (kept, name != before.strip()) == (b"kept", True)
    assert person.mags("ssh", "--config", NAME).stdout == config
