"""Where a stack lives: its directories, ports and name. One machine may hold several stacks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import SetupError

ROOT = Path(__file__).resolve().parent.parent

# Settings of the command line client: they name the finished stack and must not leak into it.
CLIENT_SETTINGS = {"MAGS_API_URL", "MAGS_API_TOKEN", "MAGS_TOKEN", "MAGS_ADMIN_EMAIL", "MAGS_ADMIN_PASSWORD"}


@dataclass(frozen=True, slots=True)
class Layout:
    """A stack. `settings` are the operator's own MAGS_* settings; they win over what is derived here."""

    var: Path
    instance: str = "mags"  # prefix of cgroups, interfaces and the nft table
    bind: str = "127.0.0.1"
    web_port: int = 8080
    redis_port: int = 6390
    s3_port: int = 8333  # and the seven ports after it: SeaweedFS's own servers
    gateway_port: int = 8081
    data_port: int = 8470  # of the machine's own host; those of further ones follow
    user: str = "mags"
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def run(self) -> Path:
        return self.var / "run"

    @property
    def log(self) -> Path:
        return self.var / "log"

    @property
    def secrets(self) -> Path:
        return self.var / "secrets"

    @property
    def agent_state(self) -> Path:
        return Path(dict(self.settings).get("MAGS_AGENT_STATE_DIR", self.var / "agent")).absolute()

    @property
    def hosts(self) -> Path:
        """Further hosts on this machine, a directory each."""
        return self.var / "hosts"

    @property
    def dev_env(self) -> Path:
        return self.var / "dev.env"

    @property
    def web_url(self) -> str:
        """Where this machine reaches the web process, whatever address visitors use."""
        return _url(self.bind, self.web_port)

    @property
    def gateway_address(self) -> str:
        return dict(self.settings).get("MAGS_GATEWAY_ADDRESS", self.bind)

    @property
    def gateway_url(self) -> str:
        """Where this machine reaches the gateway."""
        return _url(self.gateway_address, self.gateway_port)

    @property
    def url_form(self) -> str:
        """Of sandboxes' public URLs."""
        chosen = dict(self.settings)
        domain = chosen.get("MAGS_GATEWAY_APPS_DOMAIN", "apps.localhost")
        return chosen.get("MAGS_URL_FORM", f"http://{{label}}.{domain}:{self.gateway_port}")

    @property
    def public_url(self) -> str:
        return dict(self.settings).get("MAGS_PUBLIC_URL", self.web_url)

    def address_of(self, process: str) -> str:
        """Where it listens."""
        data = dict(self.settings).get("MAGS_DATA_PORT_ADDRESS", "127.0.0.1")
        chosen = {"web": self.bind, "gateway": self.gateway_address, "data": data}
        return chosen.get(process, "127.0.0.1")

    def named_ports(self) -> list[tuple[str, str, int]]:
        """(process, the setting that moves it, port)"""
        s3 = [("s3", "MAGS_S3_PORT", self.s3_port + n) for n in range(8)]
        return [
            ("web", "MAGS_WEB_PORT", self.web_port),
            ("gateway", "MAGS_GATEWAY_PORT", self.gateway_port),
            ("redis", "MAGS_REDIS_PORT", self.redis_port),
            ("data", "MAGS_DATA_PORT_PORT", self.data_port),
            *s3,
        ]


def load(environ: Mapping[str, str] = os.environ) -> Layout:
    """The stack of this checkout: the environment wins over `.env`, which wins over defaults."""
    values = {**read_env_file(ROOT / ".env"), **environ}
    settings = {k: v for k, v in values.items() if k.startswith("MAGS_") and k not in CLIENT_SETTINGS}
    return Layout(
        var=Path(values.get("MAGS_VAR_DIR", ROOT / "var")).absolute(),
        instance=values.get("MAGS_AGENT_INSTANCE", "mags"),
        bind=values.get("MAGS_BIND", "127.0.0.1"),
        web_port=_port(values, "MAGS_WEB_PORT", 8080),
        redis_port=_port(values, "MAGS_REDIS_PORT", 6390),
        s3_port=_port(values, "MAGS_S3_PORT", 8333),
        gateway_port=_port(values, "MAGS_GATEWAY_PORT", 8081),
        data_port=_port(values, "MAGS_DATA_PORT_PORT", 8470),
        user=values.get("MAGS_SYSTEM_USER", "mags"),
        settings=tuple(sorted(settings.items())),
    )


def _url(address: str, port: int) -> str:
    """Of what listens there, as seen from this machine."""
    host = "127.0.0.1" if address in {"0.0.0.0", "::"} else address  # noqa: S104 - compared, not bound
    return f"http://{host}:{port}"


def _port(values: Mapping[str, str], name: str, default: int) -> int:
    text = values.get(name, str(default))
    if not text.isdecimal() or not 0 < int(text) < 65528:
        raise SetupError(f"{name}={text!r} is not a port", "use a number from 1 to 65527")
    return int(text)


def read_env_file(path: Path) -> dict[str, str]:
    """`KEY=value` lines; `#` starts a comment line; quotes around the value are taken off."""
    if not path.exists():
        return {}
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.removeprefix("export ").split("=", 1) for line in lines if "=" in line and line[0] != "#")
    return {key.strip(): value.strip().strip("'\"") for key, value in pairs}


def write_env_file(path: Path, values: Mapping[str, str]) -> None:
    """Written whole or not at all, readable by its owner only."""
    text = "".join(f"{key}={value}\n" for key, value in values.items())
    write_private(path, text)


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; nobody else can read it at any moment."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
