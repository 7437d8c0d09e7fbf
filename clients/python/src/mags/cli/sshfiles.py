"""What the system's ssh needs to reach a sandbox: a key, and the sandbox's own key, in ~/.mags/ssh."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mags.errors import MagsError

if TYPE_CHECKING:
    from mags.types import SshAccess

HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,253})")  # never read as an option
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
HOST_KEY = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/=]+")


@dataclass(frozen=True)
class Login:
    """A way into a sandbox, its files written."""

    host: str
    port: int
    user: str
    key: Path
    known_hosts: Path
    is_other_host: bool  # what is behind the port proves itself with another key than the last time

    @property
    def options(self) -> dict[str, str]:
        """They win over what ~/.ssh/config says. A sandbox gets nothing of ours that was not asked for."""
        return {
            "IdentityFile": _quoted(self.key),
            "IdentitiesOnly": "yes",
            "PreferredAuthentications": "publickey",
            "UserKnownHostsFile": _quoted(self.known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "CheckHostIP": "no",
            "ControlPath": "none",
            "ForwardAgent": "no",
            "ForwardX11": "no",
            "ServerAliveInterval": "30",
        }

    @property
    def words(self) -> list[str]:
        """The options of ssh and scp."""
        return [word for name, value in self.options.items() for word in ("-o", f"{name}={value}")]

    @property
    def destination(self) -> str:
        return f"{self.user}@{self.host}"

    def config(self, name: str) -> str:
        """A block for ~/.ssh/config. The gateway wakes the sandbox when somebody connects."""
        values = {"HostName": self.host, "Port": str(self.port), "User": self.user, **self.options}
        return "\n".join([f"Host {name}", *(f"  {key} {value}" for key, value in values.items())])


def write(access: SshAccess) -> Login:
    """Keep what the server says in files that only we can read."""
    host, port, user = access["ssh_host"], access["ssh_port"], access["ssh_user"]
    is_good = HOST.fullmatch(host) and USER.fullmatch(user) and HOST_KEY.fullmatch(access["ssh_host_key"])
    if not is_good or not 0 < port < 65_536:
        raise MagsError("The server's answer about SSH makes no sense.", code="bad_answer")
    directory = Path.home() / ".mags" / "ssh"
    for path in (directory.parent, directory):
        path.mkdir(mode=0o700, exist_ok=True)
    key = directory / f"{host.replace(':', '_')}-{port}"
    known_hosts = key.with_name(f"{key.name}.known_hosts")
    line = f"[{host}]:{port} {access['ssh_host_key']}\n"
    is_other_host = known_hosts.exists() and known_hosts.read_text(encoding="ascii") != line
    _replace(key, access["ssh_private_key"])
    _replace(known_hosts, line)
    return Login(host, port, user, key, known_hosts, is_other_host)


def _replace(path: Path, text: str) -> None:
    """In one step: several of us may run."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _quoted(path: Path) -> str:
    """As a value of ssh's configuration, where spaces separate and % begins a token."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'
