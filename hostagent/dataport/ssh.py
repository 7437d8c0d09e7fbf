"""SSH: the sandbox's own `sshd -i`, one for each connection, started in it by the runtime.

The agent puts two files next to the sandbox's other ones on the host: `ssh/host_key` (an OpenSSH private key)
and `ssh/authorized_keys`. They are read for every connection, so a revoked key opens none from then on.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from pathlib import Path
from typing import Any

from hostagent.config import Config
from hostagent.dataport.errors import Refused
from hostagent.dataport.reach import Reach
from hostagent.dataport.tenancy import Tenancy
from hostagent.drivers import shim, spec
from hostagent.errors import AgentError
from hostagent.linux import cgroup
from hostagent.linux.launch import Launch

LAUNCHER = "launcher-data"  # a control group of its own beside the agent's launcher
DIRECTORY = "ssh"
INSIDE = "/run/mags/ssh"
KEY_LIMIT_BYTES = 64 * 1024

# Files are written by a process of the sandbox itself: nothing of the host follows a path that a tenant
# could have made a link. Each in one step, as several connections may begin at once.
PREPARE = f"""
umask 022
mkdir -p /run/sshd {INSIDE} || exit 1
(umask 077; printf '%s' "$MAGS_SSH_HOST_KEY" > {INSIDE}/host_key.$$) || exit 1
printf '%s' "$MAGS_SSH_AUTHORIZED_KEYS" > {INSIDE}/authorized_keys.$$ || exit 1
mv -f {INSIDE}/host_key.$$ {INSIDE}/host_key
mv -f {INSIDE}/authorized_keys.$$ {INSIDE}/authorized_keys
unset MAGS_SSH_HOST_KEY MAGS_SSH_AUTHORIZED_KEYS
exec /usr/sbin/sshd "$@"
"""

# The configuration in /etc/ssh is the tenant's, and made for a daemon: it is not read.
OPTIONS = (
    "AuthenticationMethods=publickey",
    "PasswordAuthentication=no",
    "KbdInteractiveAuthentication=no",
    "PermitRootLogin=prohibit-password",
    f"AuthorizedKeysFile={INSIDE}/authorized_keys",
    "UsePAM=no",
    "UseDNS=no",
    "PrintMotd=no",
    "PrintLastLog=no",
    "X11Forwarding=no",
    "PermitTunnel=no",
    "GatewayPorts=no",
    "LoginGraceTime=30",
    "ClientAliveInterval=60",
    "ClientAliveCountMax=5",
    "Subsystem=sftp internal-sftp",
)


class SshServers:
    """Starts them. What it starts ends with its connection, whoever of us has died."""

    def __init__(self, config: Config, reach: Reach) -> None:
        self._config = config
        self._reach = reach
        self._tenancy: Tenancy = reach.tenancy
        self._launch: Launch | None = None
        self._preparing = asyncio.Lock()  # a second launcher would end the first

    def close(self) -> None:
        if self._launch is not None:
            self._launch.close()
            cgroup.kill(self._tenancy.groups, self._tenancy.group(LAUNCHER), "cpu")
            cgroup.remove(self._tenancy.groups, self._tenancy.group(LAUNCHER))

    async def open(self, sandbox_id: str) -> socket.socket:
        """A socket with an SSH server at its other end."""
        process = await self._reach.slow(lambda: self._process(sandbox_id))
        ours, theirs = await self._reach.inside(sandbox_id, _pair)
        try:
            with theirs:
                await self._start(sandbox_id, process, theirs)
        except (OSError, AgentError) as error:
            ours.close()
            raise Refused(502, "no_ssh_server", f"no SSH server starts in this sandbox: {error}") from error
        return ours

    async def _start(self, sandbox_id: str, process: bytes, theirs: socket.socket) -> None:
        launch = await self._launcher()
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        file = _memory_file(process)
        try:
            await launch.spawn(self._argv(sandbox_id), [theirs.fileno(), theirs.fileno(), null, file])
        finally:
            os.close(null)
            os.close(file)

    async def _launcher(self) -> Launch:
        """Started with the first connection: a host may never see one."""
        async with self._preparing:
            if self._launch is None:
                self._launch = await self._reach.slow(self._prepare)
        return self._launch

    def _prepare(self) -> Launch:
        tenancy, run_dir = self._tenancy, Path("/run/mags") / self._config.instance
        self._engine = shim.engine(self._config, run_dir / "runtime")
        cgroup.make(tenancy.groups, tenancy.group(LAUNCHER))
        hierarchies = tenancy.groups.sandbox_hierarchies() if self._engine.is_crun else []
        return Launch(tenancy.root, hierarchies, tenancy.groups, tenancy.group(LAUNCHER))

    def _argv(self, sandbox_id: str) -> list[str]:
        # By way of choom, as for runs: the runtime's `exec` does not know oomScoreAdj.
        choom = [str(self._engine.choom), "-n", str(spec.OOM_SCORE_ADJ), "--"]
        arguments = ("exec", "--process", "/proc/self/fd/3", sandbox_id)
        return [*choom, *self._engine.runtime_argv(*arguments)]

    def _process(self, sandbox_id: str) -> bytes:
        directory = self._tenancy.bundle(sandbox_id).path / DIRECTORY
        variables = {
            "MAGS_SSH_HOST_KEY": _key_file(directory / "host_key"),
            "MAGS_SSH_AUTHORIZED_KEYS": _key_file(directory / "authorized_keys"),
        }
        options = [word for option in (*OPTIONS, self._session_environment()) for word in ("-o", option)]
        arguments = ["-i", "-f", "/dev/null", "-h", f"{INSIDE}/host_key", *options]
        process: dict[str, Any] = spec.process(
            ["/bin/sh", "-c", PREPARE, "sshd", *arguments], spec.environment(self._config, variables)
        )
        return json.dumps({**process, "cwd": "/"}).encode()

    def _session_environment(self) -> str:
        """What runs have too and sshd would not pass on: whom to trust, which language."""
        own = ("HOME", "USER", "LOGNAME", "TERM", "PATH")
        entries = spec.environment(self._config, {})
        return "SetEnv=" + " ".join(entry for entry in entries if entry.partition("=")[0] not in own)


def _pair() -> tuple[socket.socket, socket.socket]:
    """Of the sandbox's network namespace: also a Unix socket answers questions about the one it is from."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)
    return ours, theirs


def _key_file(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            return file.read(KEY_LIMIT_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(409, "no_ssh_key", "SSH is not enabled for this sandbox") from error


def _memory_file(data: bytes) -> int:
    """The private key in it is never on a disk."""
    fd = os.memfd_create("process", os.MFD_CLOEXEC)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
