"""From a bare Debian to a `.venv` that can run the rest. Standard library only."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from deploy.agents import agent_environment
from deploy.bundle import bundle
from deploy.command import run
from deploy.errors import SetupError
from deploy.layout import load
from deploy.progress import say, step

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
SYSTEM_USER = "mags"
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = (
    "#!/bin/sh\n# Made by mags for the time of one apt-get install: no service is started by it.\nexit 101\n"
)


def prepare(*, is_dev: bool) -> None:
    """Install Debian packages, `.venv` and the system user, each only where it is missing."""
    if os.geteuid() != 0:
        raise SetupError(
            "this needs root", "run it with sudo: sandboxes are made of mounts, cgroups and networks"
        )
    if sys.version_info < (3, 11):  # noqa: UP036 - any Python may get here
        raise SetupError(
            f"Python {sys.version.split()[0]} is too old", "Debian 12's python3 (3.11) or newer is needed"
        )
    check_host()
    with _lock():
        install_packages(is_dev=is_dev)
        install_venv(is_dev=is_dev)
        bundle(VENV)
        add_system_user()


def check_host() -> None:
    """What no package can mend (kernel, rights, disk), looked at before anything is changed."""
    doctor = [sys.executable, "-m", "hostagent.doctor", "--before-install"]
    environ = {**os.environ, **agent_environment(load())}
    done = subprocess.run(doctor, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode or not VENV_PYTHON.exists():  # the first time all of it, then only what is wrong
        say(done.stdout, end="")
    if done.returncode:
        raise SetupError(
            "this machine cannot run sandboxes as it is",
            "the lines above say what is missing and how to get it",
        )


def install_packages(*, is_dev: bool) -> None:
    wanted = package_list("apt-packages.txt") + (package_list("apt-packages-dev.txt") if is_dev else [])
    missing = [name for name in wanted if name not in _installed(wanted)]
    if not missing:
        return
    with step(f"Debian packages: {' '.join(missing)}"), _no_service_starts():
        apt = ["apt-get", "-q", "-y", "--no-install-recommends"]
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        hint = "see the lines above; `apt-get update` must work on this machine"
        run([*apt, "update"], hint, environ)
        run([*apt, "install", *missing], hint, environ)
    if "redis-server" in missing and Path("/run/systemd/system").exists():
        # Mags runs its own Redis; the package would start another at the next boot.
        run(["systemctl", "disable", "--quiet", "redis-server"], "")


def package_list(name: str) -> list[str]:
    lines = (ROOT / "deploy" / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _installed(names: list[str]) -> set[str]:
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *names]
    output = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    return {line.split()[0] for line in output.splitlines() if line.endswith(" installed")}


@contextlib.contextmanager
def _no_service_starts() -> Iterator[None]:
    """Debian starts a service when its package is installed; ours run on ports of their own."""
    is_ours = not POLICY.exists() or POLICY.read_text(encoding="utf-8") == POLICY_TEXT
    if is_ours:
        POLICY.write_text(POLICY_TEXT, encoding="utf-8")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if is_ours:
            POLICY.unlink()


def install_venv(*, is_dev: bool) -> None:
    """`.venv` with the pinned requirements and the `mags` client; skipped when nothing changed."""
    if not _has(VENV_PYTHON, "pip"):
        with step("Python environment .venv"):
            run([base_python(), "-m", "venv", "--clear", str(VENV)], "apt-get install python3-venv")
    name = "requirements-dev.txt" if is_dev else "requirements.txt"
    digest = _requirements_digest()
    if _stamp("requirements-dev.txt") == digest or _stamp(name) == digest:
        return
    with step(f"Python packages of {name}"):
        pip = [
            str(VENV_PYTHON),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
            "--quiet",
        ]
        hint = "the package index must be reachable; `pip config list` shows what pip uses"
        run([*pip, "-r", str(ROOT / name)], hint)
        # Everything that it needs, also to build it, is pinned in requirements.txt.
        run([*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT / "clients" / "python")], hint)
    (VENV / f".{name}.digest").write_text(digest, encoding="utf-8")


def base_python() -> str:
    """Debian's build where it is new enough: it is fast, and the system user may execute it."""
    debian = Path("/usr/bin/python3")
    return str(debian) if _has(debian, "ensurepip") else sys.executable


def _has(python: Path, module: str) -> bool:
    if not python.exists():
        return False
    check = f"import sys, {module}; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([str(python), "-c", check], capture_output=True, check=False).returncode == 0


def _requirements_digest() -> str:
    files = [ROOT / "requirements.txt", ROOT / "requirements-dev.txt", ROOT / "clients/python/pyproject.toml"]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _stamp(name: str) -> str:
    stamp = VENV / f".{name}.digest"
    return stamp.read_text(encoding="utf-8") if stamp.exists() else ""


def add_system_user() -> None:
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        home = ["--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin"]
        with step(f"System user {SYSTEM_USER}"):
            run(["useradd", "--system", "--user-group", *home, SYSTEM_USER], "")


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    """One set-up at a time: `make up` and `make test` may be typed in two windows."""
    path = ROOT / "var" / "setup.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
