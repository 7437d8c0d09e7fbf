"""Public URLs and their names, of the fake server."""

from __future__ import annotations

import json
import uuid
from typing import Any

from fake_job import CREATED_AT, FakeJob


def url_of(label: str) -> str:
    return f"http://{label}.apps.localhost:8081"


SSH: dict[str, Any] = {
    "success": True,
    "ssh_host": "127.0.0.1",
    "ssh_port": 22417,
    "ssh_user": "root",
    "ssh_private_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n",
    "ssh_host_key": "ssh-ed25519 AAAAC3Nz",
    "known_hosts": "[127.0.0.1]:22417 ssh-ed25519 AAAAC3Nz",
}


class PublishedUrls:
    """What the server's handler does about them."""

    server: Any
    body: bytes
    answer: Any
    fail: Any

    def access(self, job: FakeJob) -> None:
        port = json.loads(self.body).get("port", 8080)
        if port == 22:
            self.answer(SSH | self.server.ssh_changes)
            return
        self.answer({"success": True, "url": url_of(job.id), "port": port})

    def revoke_ssh_key(self, _job: FakeJob) -> None:
        self.answer({"success": True, "in_force": True})

    def new_alias(self) -> None:
        sent = json.loads(self.body)
        name = sent["subdomain"]
        if name in self.server.aliases:
            self.fail(409, "alias_taken", f"The alias {name} already exists.", "Choose another name.")
            return
        alias = {"port": None, **sent, "id": str(uuid.uuid4()), "url": url_of(name), "created_at": CREATED_AT}
        self.server.aliases[name] = alias
        self.answer(alias, 201)

    def list_aliases(self) -> None:
        aliases = list(self.server.aliases.values())
        self.answer({"aliases": aliases, "total": len(aliases), "page": 1, "page_size": 20})

    def remove_alias(self, alias: dict[str, Any]) -> None:
        del self.server.aliases[alias["subdomain"]]
        self.answer({})
