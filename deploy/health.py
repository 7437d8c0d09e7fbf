"""Is each process of a stack doing its work? Asked of the process itself, not of its pid."""

from __future__ import annotations

import asyncio
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

import redis
from celery import Celery

from deploy.agents import Agent
from deploy.credentials import Credentials
from deploy.errors import SetupError
from deploy.layout import Layout
from deploy.progress import step
from deploy.supervise import Supervisor
from hostagent import control
from hostagent.control import DATA_PORT
from hostagent.errors import AgentError

READY_LIMIT_S = {"s3": 60, "worker": 60}
DEFAULT_LIMIT_S = 40
ASK_TIMEOUT_S = 2.0


class Health:
    """The checks of one stack."""

    def __init__(self, layout: Layout, credentials: Credentials, supervisor: Supervisor) -> None:
        self.layout = layout
        self.credentials = credentials
        self.supervisor = supervisor
        self.redis_url = f"redis://:{credentials.redis_password}@127.0.0.1:{layout.redis_port}/0"

    def wait(self, name: str, check: Callable[[], bool] | None = None) -> None:
        """Return when the process answers; say which log to read when it does not."""
        is_ready = check or self.checks()[name]
        deadline = time.monotonic() + READY_LIMIT_S.get(name, DEFAULT_LIMIT_S)
        while not is_ready():
            state = self.supervisor.state(name)
            if state.state == "FATAL" or time.monotonic() > deadline:
                raise SetupError(
                    f"{name} is not ready ({state.state.lower()}: {state.description})", self._log_tail(name)
                )
            time.sleep(0.1)

    def wait_all(self, names: list[str]) -> None:
        for name in names:
            with step(f"{name} is ready"):
                self.wait(name)

    def checks(self) -> dict[str, Callable[[], bool]]:
        return {
            "redis": self.redis,
            "s3": self.s3,
            "web": self.web,
            "worker": self.worker,
            "beat": self.beat,
            "gateway": self.gateway,
        }

    def redis(self) -> bool:
        try:
            with redis.Redis.from_url(self.redis_url, socket_timeout=ASK_TIMEOUT_S) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def s3(self) -> bool:
        return _answers(f"http://127.0.0.1:{self.layout.s3_port}/healthz")

    def web(self) -> bool:
        return _answers(f"{self.layout.web_url}/readyz")

    def worker(self) -> bool:
        with Celery(broker=self.redis_url) as app:
            try:
                return bool(app.control.ping(timeout=1, limit=1))
            except (OSError, redis.RedisError):
                return False

    def beat(self) -> bool:
        return self.supervisor.state("beat").state == "RUNNING"

    def gateway(self) -> bool:
        """Whether it answers: that no sandbox has this machine's own name."""
        return _answers(self.layout.gateway_url, status=HTTPStatus.MISDIRECTED_REQUEST)

    def data_port(self, agent: Agent) -> bool:
        return bool(_asked(agent.state / DATA_PORT, "connections"))

    def agent(self, agent: Agent) -> bool:
        """Whether it runs and the server knows."""
        return bool(_asked(agent.state, "status").get("boot_epoch"))

    def _log_tail(self, name: str) -> str:
        path = self.layout.log / f"{name}.log"
        return f"the end of {path}:\n{tail(path, 20)}"


# These addresses are on this machine: the shell's proxy settings do not apply to them.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _asked(directory: Path, command: str) -> dict[str, Any]:
    """What a process of a host answers on its control socket; nothing where it does not."""
    # In a thread: the caller's may have an event loop of its own.
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(asyncio.run, control.ask(directory, command))
    try:
        return asked.result()
    except AgentError:
        return {}


def _answers(url: str, *, status: int = HTTPStatus.OK) -> bool:
    try:
        with _direct.open(url, timeout=ASK_TIMEOUT_S) as answer:
            return bool(answer.status == status)
    except urllib.error.HTTPError as error:
        return error.code == status
    except (OSError, http.client.HTTPException):  # HTTPError is an OSError
        return False


def tail(path: Path, lines: int) -> str:
    """The last lines of a log, indented."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "    (there is no such file)"
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])
