"""The gateway's side of the contract, over HTTP."""

from __future__ import annotations

from typing import Any

from django.test import Client

from accounts.models import User
from aliases.services import alias_create

API = "/api/gateway/v1"


class Gateway:
    def __init__(self, key: str) -> None:
        self._client = Client(headers={"Authorization": f"Bearer {key}"})

    def route(self, label: Any, kind: str = "http") -> tuple[int, dict[str, Any]]:
        response = self._client.get(f"{API}/routes/{label}?kind={kind}")
        return response.status_code, response.json()

    def wake(self, label: Any, wait: float = 0) -> tuple[int, dict[str, Any]]:
        response = self._client.post(f"{API}/routes/{label}/wake?kind=http&wait={wait}")
        return response.status_code, response.json()

    def ssh(self, after: int, wait: float = 0, blocked: str = "") -> tuple[int, dict[str, Any]]:
        response = self._client.get(f"{API}/ssh?after={after}&wait={wait}&blocked={blocked}")
        return response.status_code, response.json()


def alias(owner: User, name: str = "shop", workspace: str = "w", port: int | None = None) -> str:
    return alias_create(owner, name, workspace, port).name
