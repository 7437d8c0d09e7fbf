"""The control plane's application, which tells a test whom it waits for, and stops where the test wants it.

`GET /watched` answers the groups that somebody listens to and the number of requests under way. While the
file `hold` is in the directory of WATCHED_DIRECTORY, threads stay before `WaitingView.wait_for`.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from mags_project.asgi import application as ours  # sets Django up

# isort: split
from core import wakeup
from core.api.views import WaitingView

DIRECTORY = Path(os.environ["WATCHED_DIRECTORY"])
_under_way: set[object] = set()
_wait_for = WaitingView.wait_for


def wait_for(self: WaitingView, wait_s: float, *groups: str) -> None:
    (DIRECTORY / "entered").touch()
    while (DIRECTORY / "hold").exists():
        time.sleep(0.01)
    _wait_for(self, wait_s, *groups)
    (DIRECTORY / "passed").touch()


WaitingView.wait_for = wait_for  # type: ignore[method-assign]


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope.get("path") == "/watched":
        groups = sorted({group for hub in wakeup._hubs.values() for group in hub._waiters})
        body = json.dumps({"groups": groups, "under_way": len(_under_way)}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
        return
    request = object()
    _under_way.add(request)
    try:
        await ours(scope, receive, send)
    finally:
        _under_way.remove(request)
