"""Real clients, of SSH most of all, to a real sandbox by way of the gateway and the data port."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hostagent import control
from hostagent.config import Config
from hostagent.drivers.oci import OciDriver
from tests.gateway.doubles import ControlPlaneServer
from tests.gateway.visiting import visited
from tests.privileged.data_ports import Ported, data_port, enable_ssh, write_record
from tests.privileged.leaks import no_leaks
from tests.privileged.sandbox import Held, Sandboxes
from tests.servers import free_ports

pytestmark = pytest.mark.asyncio(loop_scope="module")

LABEL = "box"


class Client:
    """A person with a key."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port
        for name in ("host", "user", "stranger"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(directory / name)]
            subprocess.run(command, check=True)
        host_key = (directory / "host.pub").read_text()
        (directory / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")

    def options(self, key: str = "user") -> list[str]:
        values = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "IdentityFile": str(self.directory / key),
            "UserKnownHostsFile": str(self.directory / "known_hosts"),
            "StrictHostKeyChecking": "yes",
            "GlobalKnownHostsFile": "/dev/null",
        }
        return ["-F", "/dev/null", *(word for k, v in values.items() for word in ("-o", f"{k}={v}"))]

    def ssh(self, *arguments: str, key: str = "user", user: str = "root") -> list[str]:
        return ["ssh", *self.options(key), "-p", str(self.port), f"{user}@127.0.0.1", *arguments]

    async def run(self, command: list[str], data: bytes = b"") -> tuple[int, bytes, bytes]:
        process = await asyncio.create_subprocess_exec(*command, stdin=-1, stdout=-1, stderr=-1)
        async with asyncio.timeout(30):
            out, err = await process.communicate(data)
        return process.returncode or 0, out, err


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def driver(config: Config) -> AsyncIterator[OciDriver]:
    driver = OciDriver(config)
    await driver.open()
    yield driver
    await driver.close(everything=True)
    await no_leaks(config)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held(driver: OciDriver, config: Config) -> AsyncIterator[Held]:
    async with Sandboxes(driver).held(memory_mb=512) as held:
        write_record(config, held.sandbox_id)
        yield held


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ported(config: Config, driver: OciDriver) -> AsyncIterator[Ported]:
    async with data_port(config) as ported:
        yield ported


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(ported: Ported, held: Held) -> AsyncIterator[ControlPlaneServer]:
    async with ControlPlaneServer() as plane:
        plane.run(
            LABEL,
            ported.port.port,
            None,
            max_age_s=0,
            sandbox_id=held.sandbox_id,
            ticket=ported.signer.ticket(held.sandbox_id, "ssh"),
        )
        yield plane


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(
    plane: ControlPlaneServer, held: Held, config: Config, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Client]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    client = Client(tmp_path_factory.mktemp("ssh"), port)
    authorize(client, config, held)
    plane.list_ssh({port: LABEL})
    async with visited(plane):
        await listening(port)
        yield client


def authorize(client: Client, config: Config, held: Held, *, is_authorized: bool = True) -> None:
    keys = (client.directory / "user.pub").read_text() if is_authorized else "# nobody\n"
    enable_ssh(config, held.sandbox_id, client.directory / "host", keys)


async def listening(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


async def test_command_with_its_output_and_code(client: Client, held: Held) -> None:
    code, out, err = await client.run(client.ssh("hostname; id -un; cat; echo no >&2; exit 7"), b"typed")
    assert (code, out, err) == (7, f"{held.sandbox_id}\nroot\ntyped".encode(), b"no\n")


async def test_surroundings_are_those_of_runs(client: Client) -> None:
    _, out, _ = await client.run(client.ssh("env; cat /proc/self/oom_score_adj /proc/self/cgroup"))
    assert b"SSL_CERT_FILE=/run/mags/ca.crt\n" in out
    assert b"\n500\n" in out
    assert b"MAGS_SSH" not in out


async def test_shell_with_a_terminal(client: Client) -> None:
    code, out, _ = await client.run(client.ssh("-tt"), b"stty size; tty; exit 3\n")
    assert code == 3
    assert b"/dev/pts/" in out


async def test_thirty_megabytes_both_ways(client: Client) -> None:
    data = os.urandom(30 * 2**20)
    code, out, _ = await client.run(client.ssh("tee /root/copy | sha256sum; cat /root/copy"), data)
    line, _, copy = out.partition(b"\n")
    assert (code, line.split()[0].decode()) == (0, hashlib.sha256(data).hexdigest())
    assert copy == data


async def test_scp_and_sftp(client: Client, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(100_000))
    port = ["-P", str(client.port)]
    code, _, err = await client.run(
        ["scp", *client.options(), *port, str(source), "root@127.0.0.1:/root/a b"]
    )
    assert code == 0, err
    code, _, err = await client.run(["sftp", *client.options(), *port, "-b", "-", "root@127.0.0.1"],
                                    f'get "/root/a b" {target}\n'.encode())  # fmt: skip
    assert code == 0, err
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.skipif(shutil.which("rsync") is None, reason="NO RSYNC HERE: apt-get install rsync")
async def test_rsync(client: Client, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("hello")
    shell = " ".join(["ssh", *client.options(), "-p", str(client.port)])
    code, _, err = await client.run(["rsync", "-a", "-e", shell, f"{tmp_path}/tree", "root@127.0.0.1:/root/"])
    assert code == 0, err
    assert (await client.run(client.ssh("cat /root/tree/file")))[1] == b"hello"


async def test_forwarded_port_ends_inside(client: Client, held: Held) -> None:
    """What listens on the host's loopback is not what the sandbox has on its own."""
    with socket.create_server(("127.0.0.1", 0)) as canary:
        hosts = canary.getsockname()[1]
        local, other = free_ports(2)
        server = (
            "#!/usr/bin/python3\nimport socket\nserver = socket.create_server(('127.0.0.1', 9100))\n"
            "print('up', flush=True)\nwhile True:\n    sock = server.accept()[0]\n"
            "    sock.sendall(b'inside')\n    sock.close()\n"
        )
        async with held.started(server) as key:
            await held.says(key, b"up")
            forwards = ["-L", f"{local}:127.0.0.1:9100", "-L", f"{other}:127.0.0.1:{hosts}"]
            process = await asyncio.create_subprocess_exec(
                *client.ssh(*forwards, "-o", "ExitOnForwardFailure=yes", "-N"), stdin=-3, stdout=-3, stderr=-3
            )
            try:
                await listening(local)
                reader, writer = await asyncio.open_connection("127.0.0.1", local)
                assert await reader.read() == b"inside"
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", other)
                assert await reader.read() == b""  # refused inside
                writer.close()
            finally:
                process.kill()  # OpenSSH 9.2 may miss a SIGTERM until something else happens
                await process.wait()
        canary.settimeout(0)
        with pytest.raises(BlockingIOError):
            canary.accept()


async def test_ten_at_once(client: Client) -> None:
    answers = await asyncio.gather(*(client.run(client.ssh(f"echo {n}")) for n in range(10)))
    assert [out for _, out, _ in answers] == [b"%d\n" % n for n in range(10)]


async def test_nobody_else_gets_in(client: Client) -> None:
    code, out, err = await client.run(client.ssh("true", key="stranger"))
    assert (code, out) == (255, b"")
    assert b"Permission denied (publickey)" in err


async def test_revoked_key_and_cut_session(client: Client, held: Held, config: Config) -> None:
    process = await asyncio.create_subprocess_exec(
        *client.ssh("echo in; exec sleep 1000"), stdin=-3, stdout=-1, stderr=-3
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"in\n"
    directory = config.state_dir / "data-port"
    answer = await control.ask(directory, "connections")
    assert answer["sandboxes"][held.sandbox_id]["ssh"] == 1
    authorize(client, config, held, is_authorized=False)
    try:
        assert (await client.run(client.ssh("true")))[0] == 255
        assert (await control.ask(directory, f"close {held.sandbox_id} ssh"))["closed"] >= 1
        async with asyncio.timeout(10):
            assert await process.wait() == 255
    finally:
        authorize(client, config, held)
    await held.run("while pgrep -x sshd; do sleep 0.05; done", timeout_s=10)


async def test_files_of_the_host_are_not_reached_by_what_a_tenant_links(client: Client, held: Held) -> None:
    """The tenant replaces the directory of the keys: only its own files can suffer."""
    await held.run("rm -rf /run/mags/ssh; mkdir /root/mine; ln -s /root/mine /run/mags/ssh")
    assert (await client.run(client.ssh("ls -l /root/mine/")))[0] == 0
    await held.run("rm /run/mags/ssh")
    assert (await client.run(client.ssh("stat -c '%a %U' /run/mags/ssh/host_key")))[1] == b"600 root\n"


async def test_sandbox_without_keys_says_why(client: Client, held: Held, config: Config) -> None:
    keys = config.state_dir / "fs/sandboxes" / held.sandbox_id / "ssh"
    keys.rename(keys.with_name("away"))
    code, _, err = await client.run(client.ssh("-v", "true"))
    keys.with_name("away").rename(keys)
    assert code == 255
    assert b"SSH is not enabled for this sandbox" in err
    assert (await client.run(client.ssh("echo back")))[1] == b"back\n"


async def test_web_server_inside(plane: ControlPlaneServer, ported: Ported, held: Held) -> None:
    """All of it at once: the gateway, the data port, and a server as anybody starts one."""
    ticket = ported.signer.ticket(held.sandbox_id, 9200)
    plane.run("web", ported.port.port, 9200, sandbox_id=held.sandbox_id, ticket=ticket)
    script = "cd $(mktemp -d); echo hello > file; echo up; exec python3 -m http.server -b 127.0.0.1 9200"
    async with visited(plane) as site, held.started(script) as key:
        await held.says(key, b"up")
        async with asyncio.timeout(10):
            while True:
                async with site.ask("GET", "/file", "web") as answer:
                    if answer.status == 200:
                        assert await answer.text() == "hello\n"
                        return
                    assert (await answer.json())["code"] == "nothing_listens"


async def test_sleeper_is_woken(client: Client, plane: ControlPlaneServer) -> None:
    plane.put_to_sleep(LABEL)
    connecting = asyncio.create_task(client.run(client.ssh("echo awake")))
    async with asyncio.timeout(10):
        await plane.was_woken.wait()
    plane.may_wake.set()
    assert (await connecting)[1] == b"awake\n"
    assert plane.wakes == [LABEL]


async def test_port_that_is_not_listed_any_more(client: Client, plane: ControlPlaneServer) -> None:
    process = await asyncio.create_subprocess_exec(
        *client.ssh("echo in; exec sleep 1000"), stdin=-3, stdout=-1, stderr=-3
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"in\n"
    plane.list_ssh({})
    async with asyncio.timeout(10):
        assert await process.wait() == 255
    assert (await client.run(client.ssh("true")))[0] == 255
    plane.list_ssh({client.port: LABEL})
    await listening(client.port)
