"""A real provider to sign in with, and a person with a browser who does."""

from __future__ import annotations

import html
import re
import signal
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from django.http import HttpResponse
from django.test import Client

from tests import servers

PROCESS = Path(__file__).with_name("oidc_process.py")


class Provider(servers._Server):
    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=20)

    def command(self) -> list[str]:
        return [sys.executable, str(PROCESS), str(self.port)]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.http.close()
        super().stop(how)

    def knows(self, sub: str, **claims: Any) -> None:
        """A person; by default one whose address is verified."""
        told = {"email": f"{sub}@example.org", "email_verified": True, **claims}
        self.http.put(f"/users/{sub}", json=told).raise_for_status()

    def asked_for_token(self) -> dict[str, str]:
        """The form of the newest request for a token."""
        seen = [one["form"] for one in self.http.get("/seen").json() if one["path"] == "/oauth2/token"]
        return dict(seen[-1])


class Person:
    """Goes from the page of a Django client to the provider, and back."""

    def __init__(self, provider: Provider, client: Client | None = None, slug: str = "google") -> None:
        self.provider = provider
        self.client = client or Client()
        self.slug = slug

    def leave(self, **form: str) -> str:
        """Press the button. Answers where the provider is."""
        page = self.client.post(f"/login/{self.slug}/", form)
        assert page.status_code == 200, page.headers
        found = re.search(r'http-equiv="refresh"\s+content="0; url=([^"]+)"', page.content.decode())
        assert found
        return html.unescape(found[1])

    def consent(self, href: str, sub: str) -> str:
        """At the provider. Answers the address of ours that it sends the browser back to."""
        return self.provider.http.post(href, data={"sub": sub}).headers["Location"]

    def deny(self, href: str) -> str:
        return self.provider.http.post(href, data={"action": "deny"}).headers["Location"]

    def come_back(self, href: str) -> HttpResponse:
        parts = urlsplit(href)
        return self.client.get(f"{parts.path}?{parts.query}")  # type: ignore[return-value]

    def sign_in(self, sub: str, **form: str) -> HttpResponse:
        return self.come_back(self.consent(self.leave(**form), sub))


def problem_of(answer: Any) -> str:
    """The reason that we send a refused person to the login page (or to settings) with."""
    assert answer.status_code == 302
    return parse_qs(urlsplit(answer.headers["Location"]).query).get("problem", [""])[0]
