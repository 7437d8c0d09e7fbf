"""Real servers, started for a test run and gone after it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from django.db import connection

from deploy.up import is_port_free

START_TIMEOUT_S = 30
REPOSITORY = Path(__file__).resolve().parent.parent
POSTGRES_BIN = Path("/usr/lib/postgresql/15/bin")


def database_url() -> str:
    """The database of the test run, for processes beside it."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    host, port, user = (connection.settings_dict[key] for key in ("HOST", "PORT", "USER"))
    return f"postgres://{user}@{host}:{port}/{name}"


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody else has; they may be taken until they are used."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def ports_in_a_row(count: int) -> int:
    """The first of `count` free loopback ports, below the range the kernel gives away itself. By chance, so
    that tests that start together do not choose the same."""
    while True:
        first = 20_000 + secrets.randbelow(12_000)
        if all(is_port_free("127.0.0.1", first + n) for n in range(count)):
            return first


class _Server:
    """A child process that listens on a loopback port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.directory = Path(tempfile.mkdtemp(prefix="mags-test-server-"))
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        log = (self.directory / "log").open("ab")
        with log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=REPOSITORY)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_listening():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.command()[0]} did not start: {self._tail()}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_TIMEOUT_S)
            self._process = None

    def _is_listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _tail(self) -> str:
        return (self.directory / "log").read_text(errors="replace")[-2000:]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class WebServer(_Server):
    """The control plane under daphne, on the database of the test run."""

    def __init__(
        self, port: int, environment: dict[str, str], application: str = "mags_project.asgi:application"
    ) -> None:
        super().__init__(port)
        self._environment = environment
        self._application = application

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        settings = [f"{name}={value}" for name, value in self._environment.items()]
        daphne = [sys.executable, "-m", "daphne", "-v", "1", "-b", "127.0.0.1", "-p", str(self.port)]
        return ["env", *settings, *daphne, "--access-log", "/dev/null", self._application]

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")


class RedisServer(_Server):
    """Redis without persistence. `stop(SIGKILL)` and `start()` play a crash."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        directory = ["--dir", str(self.directory)]
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *directory]

    def flush(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            answer = connection.recv(100)
            if answer != b"+OK\r\n":
                raise RuntimeError(f"redis: {answer!r}")


class PostgresServer(_Server):
    """A new PostgreSQL cluster; the server refuses to run as root, so `postgres` owns it."""

    def command(self) -> list[str]:
        data = str(self.directory / "data")
        options = ["-h", "127.0.0.1", "-p", str(self.port), "-k", "", "-c", "fsync=off"]
        return [*self._as_user(), str(POSTGRES_BIN / "postgres"), "-D", data, *options]

    def start(self) -> None:
        if not (self.directory / "data").exists():
            self._make_cluster()
        super().start()

    def _make_cluster(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self.directory, "postgres")
        initdb = [str(POSTGRES_BIN / "initdb"), "-D", str(self.directory / "data")]
        options = ["-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run(
            [*self._as_user(), *initdb, *options], check=True, capture_output=True, cwd=self.directory
        )

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:  # SIGINT: PostgreSQL's fast shutdown
        super().stop(how)

    def _is_listening(self) -> bool:  # it listens before it answers
        probe = [str(POSTGRES_BIN / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(probe, check=False).returncode == 0

    @staticmethod
    def _as_user() -> list[str]:
        # setpriv, not runuser: it execs, so that our signals reach the server itself.
        if os.geteuid() != 0:
            return []
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]
