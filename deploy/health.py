"""Is each process of a stack doing its work? Asked of the process itself, not of its pid."""

from __future__ import annotations

import http.client
import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import redis
from celery import Celery

from deploy.credentials import Credentials
from deploy.errors import SetupError
from deploy.layout import Layout
from deploy.progress import step
from deploy.supervise import Supervisor

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
        return {"redis": self.redis, "s3": self.s3, "web": self.web, "worker": self.worker, "beat": self.beat}

    def redis(self) -> bool:
        try:
            with redis.Redis.from_url(self.redis_url, socket_timeout=ASK_TIMEOUT_S) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def s3(self) -> bool:
        return _get(f"http://127.0.0.1:{self.layout.s3_port}/healthz") is not None

    def web(self) -> bool:
        return _get(f"{self.layout.web_url}/readyz") is not None

    def worker(self) -> bool:
        with Celery(broker=self.redis_url) as app:
            try:
                return bool(app.control.ping(timeout=1, limit=1))
            except (OSError, redis.RedisError):
                return False

    def beat(self) -> bool:
        return self.supervisor.state("beat").state == "RUNNING"

    def has_host(self, token: str) -> bool:
        """Whether a host with room is online, as the API says."""
        answer = _get(f"{self.layout.web_url}/api/v1/mags-jobs/pool-status", token)
        return answer is not None and bool(json.loads(answer)["total_vms"])

    def _log_tail(self, name: str) -> str:
        path = self.layout.log / f"{name}.log"
        return f"the end of {path}:\n{tail(path, 20)}"


# These addresses are on this machine: the shell's proxy settings do not apply to them.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _get(url: str, token: str = "") -> bytes | None:
    """The body of a 200, else nothing."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with _direct.open(urllib.request.Request(url, headers=headers), timeout=ASK_TIMEOUT_S) as answer:  # noqa: S310
            return bytes(answer.read())
    except (OSError, http.client.HTTPException):  # HTTPError is an OSError
        return None


def tail(path: Path, lines: int) -> str:
    """The last lines of a log, indented."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "    (there is no such file)"
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])
