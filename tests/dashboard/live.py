"""A real web server on the test database, and an agent that talks to it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import httpx

from jobs.models import Lease
from tests import servers
from tests.jobs import factories


class WebServer(servers._Server):
    """daphne with the test run's database and Redis. `stop(SIGKILL)` and `start()` play a crash."""

    def __init__(self, port: int, own: dict[str, str] | None = None) -> None:
        super().__init__(port)
        self.url = f"http://127.0.0.1:{port}"
        self._own = own or {}  # settings

    def command(self) -> list[str]:
        settings = {
            "MAGS_DATABASE_URL": servers.database_url(),
            "MAGS_PUBLIC_URL": self.url,
            "PYTHONPATH": str(Path.cwd()),
            **self._own,
        }
        variables = [f"{name}={value}" for name, value in settings.items()]
        daphne = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(self.port)]
        return ["env", *variables, *daphne, "mags_project.asgi:application"]


class HttpClient:
    """What factories.Agent needs of Django's test client, over real HTTP."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._http = httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False)

    def get(self, path: str) -> httpx.Response:
        return self._http.get(path)

    def post(self, path: str, data: Any, content_type: str) -> httpx.Response:
        assert content_type == "application/json"
        return self._http.post(path, json=data)

    def close(self) -> None:
        self._http.close()


class LiveAgent(factories.Agent):
    """An agent that prints what a test tells it to."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(boot=False, **options)
        self.http = HttpClient(url, {"Authorization": self.client.defaults["HTTP_AUTHORIZATION"]})
        self.client = self.http  # type: ignore[assignment]
        self.boot()
        self._offsets: dict[int, int] = {}

    def close(self) -> None:
        self.http.close()

    def start(self, lease: Lease) -> None:
        assert self.report(factories.started(lease)) == [{"status": 200}]

    def prints(self, lease: Lease, data: bytes, stream: int = 1) -> None:
        """Ship output, in as many reports as its size needs."""
        for begin in range(0, len(data), 512 * 1024):
            part = data[begin : begin + 512 * 1024]
            records = [
                [factories.now_ms(), stream, len(part[at : at + 65536])] for at in range(0, len(part), 65536)
            ]
            offset = self._offsets.get(lease.pk, 0)
            assert self.report(factories.log(lease, offset, part, records)) == [{"status": 200}]
            self._offsets[lease.pk] = offset + len(part)

    def finish(self, lease: Lease, **fields: Any) -> None:
        end = factories.finished(lease, self._offsets.get(lease.pk, 0), **fields)
        assert self.report(end) == [{"status": 200}]
