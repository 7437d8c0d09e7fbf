"""What hosts and gateways say when an SSH port is opened."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from django.db import connections
from django.test import Client

from sandboxes.models import Sandbox
from tests.gateways.asking import Gateway
from tests.jobs.factories import API, Agent


class Host:
    """Puts keys into force as an agent does, and remembers them."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.keys: dict[str, dict[str, Any]] = {}

    def obey(self, wait: float = 0) -> None:
        """Do what changed, and say so."""
        for wish in self.agent.poll_all(wait)["sandboxes"]:
            self.keys[wish["sandbox_id"]] = wish["ssh"]
            if wish["ssh"]:
                named = {"sandbox_id": wish["sandbox_id"], "epoch": wish["epoch"]}
                item = {"type": "ssh", "digest": wish["ssh"]["digest"], **named}
                assert self.agent.report(item) == [{"status": 200}]

    def authorized(self, sandbox: Sandbox) -> list[str]:
        """Who may log in, as told last."""
        ssh = self.keys[sandbox.pk]
        return list(ssh["authorized_keys"]) if ssh else []


def listen(gateway: Gateway, blocked: str = "") -> dict[str, str]:
    """Ask for the list, and say that all of it is listened on."""
    listed = gateway.ssh(0)[1]
    gateway.ssh(listed["revision"], blocked=blocked)
    return dict(gateway.ssh(0)[1]["ports"])


@contextlib.contextmanager
def attended(host: Host, gateway: Gateway) -> Iterator[None]:
    """A host and a gateway do their work beside the block."""
    is_over = threading.Event()

    def attend() -> None:
        try:
            while not is_over.wait(0.02):
                host.obey()
                listen(gateway)
        finally:
            connections.close_all()  # of this thread

    thread = threading.Thread(target=attend)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(10)


def access(client: Client, job: Any, port: int = 22) -> tuple[int, dict[str, Any]]:
    response = client.post(f"{API}/mags-jobs/{job}/access", {"port": port}, content_type="application/json")
    return response.status_code, response.json()


def revoke(client: Client, job: Any) -> tuple[int, dict[str, Any]]:
    response = client.delete(f"{API}/mags-jobs/{job}/ssh-key")
    return response.status_code, response.json()
