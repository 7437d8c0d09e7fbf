"""What a token holds open is closed once the token does not count any more: on a real web server, at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.utils import timezone
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from accounts.models import ApiToken, User
from accounts.services import token_create, token_revoke
from core import credentials
from jobs.models import Job
from tests.jobs import factories
from tests.jobs.factories import API
from tests.servers import WebServer

NOTICED_S = 5.0  # the promise; what is woken needs a fraction of it


class Holder:
    """Somebody with one token, who watches one job that says nothing."""

    def __init__(self, web: WebServer) -> None:
        self.owner = factories.user()
        self.job = factories.job(self.owner)
        self.token, self.text = token_create(self.owner, "held")
        self.url = web.url
        self.open = ExitStack()
        self.http = httpx.Client(
            base_url=web.url + API, headers={"Authorization": f"Bearer {self.text}"}, timeout=30
        )

    def socket(self, path: str, text: str = "") -> ClientConnection:
        address = f"ws{self.url.removeprefix('http')}/ws/{path}"
        socket = self.open.enter_context(connect(address, compression=None))
        socket.send(json.dumps({"type": "auth", "token": text or self.text}))
        return socket

    def polling(self, path: str) -> Callable[[], httpx.Response]:
        """A long poll, begun. Answers what came of it."""
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(self.http.get(path)))
        thread.start()

        def answer() -> httpx.Response:
            thread.join(NOTICED_S)
            assert answers, "it is still held open"
            return answers[0]

        return answer


@pytest.fixture
def holder(web: WebServer) -> Iterator[Holder]:
    holder = Holder(web)
    with holder.http, holder.open:
        yield holder


def until_closed(socket: ClientConnection) -> tuple[int | None, list[dict[str, Any]]]:
    heard: list[dict[str, Any]] = []
    try:
        while True:
            heard.append(json.loads(socket.recv(NOTICED_S)))
    except ConnectionClosed as closed:
        return (closed.rcvd.code if closed.rcvd else None), heard


def test_revoking_closes_sockets_and_answers_long_polls(holder: Holder) -> None:
    logs, jobs = holder.socket(f"jobs/{holder.job.pk}/logs"), holder.socket("jobs")
    revision = Job.objects.get().revision
    status = holder.polling(f"/mags-jobs/{holder.job.pk}/status?wait=25&revision={revision}")
    output = holder.polling(f"/mags-jobs/{holder.job.pk}/logs?wait=25")
    assert [json.loads(socket.recv(NOTICED_S))["type"] for socket in (logs, jobs)] == ["status", "ready"]
    _, another = token_create(holder.owner, "another")
    kept = holder.socket("jobs", another)
    assert json.loads(kept.recv(NOTICED_S))["type"] == "ready"

    token_revoke(holder.owner, holder.token.pk)

    for socket in (logs, jobs):
        code, heard = until_closed(socket)
        assert code == 4401
        assert heard[-1]["code"] == "token_revoked"
        assert "revoked" in heard[-1]["error"]
    for answer in (status(), output()):
        assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked")
    with pytest.raises(TimeoutError):  # what another token holds open stays
        kept.recv(0.5)


@pytest.mark.parametrize("cause", ["expiry", "suspension"])
def test_expiry_and_suspension_close_them_too(holder: Holder, cause: str) -> None:
    logs = holder.socket(f"jobs/{holder.job.pk}/logs")
    assert json.loads(logs.recv(NOTICED_S))["type"] == "status"
    output = holder.polling(f"/mags-jobs/{holder.job.pk}/logs?wait=25")
    if cause == "expiry":  # nobody says so: the look of the web process finds it
        ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    else:
        User.objects.filter(pk=holder.owner.pk).update(is_active=False)
        credentials.changed()
    code, heard = until_closed(logs)
    wanted = "token_expired" if cause == "expiry" else "user_inactive"
    assert (code, heard[-1]["code"]) == (4401, wanted)
    assert output().json()["code"] == wanted


def test_a_token_to_read_follows_output_and_gives_no_commands(holder: Holder) -> None:
    _, holder.text = token_create(holder.owner, "reader", scopes=["read"])
    logs = holder.socket(f"jobs/{holder.job.pk}/logs")
    assert json.loads(logs.recv(NOTICED_S))["type"] == "status"
    code, heard = until_closed(holder.socket(f"jobs/{holder.job.pk}/exec"))
    assert (code, heard[-1]["code"]) == (4403, "missing_scope")


def test_a_token_for_a_workspace_opens_no_socket_of_another(holder: Holder) -> None:
    _, holder.text = token_create(holder.owner, "other", workspace_name="other")
    for path in ("logs", "exec"):
        socket = holder.socket(f"jobs/{holder.job.pk}/{path}")
        if path == "exec":
            socket.send(json.dumps({"type": "open", "command": "true"}))
        assert until_closed(socket)[0] == 4404


def test_mags_logs_says_what_happened(holder: Holder, tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "MAGS_API_URL": holder.url,
        "MAGS_API_TOKEN": holder.text,
        "PYTHONPATH": str(Path.cwd() / "clients/python/src"),
    }
    following = subprocess.Popen(
        [sys.executable, "-m", "mags", "logs", "-f", str(holder.job.pk)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert following.stderr is not None
    assert "waiting" in following.stderr.readline()  # it follows
    token_revoke(holder.owner, holder.token.pk)
    _, said = following.communicate(timeout=20)
    assert following.returncode == 125
    assert "This token was revoked." in said
    assert "mags login" in said
