"""Users, and clients that act as them."""

from __future__ import annotations

import itertools
from datetime import datetime

from django.test import Client
from django.utils import timezone

from accounts.confirmation import CONFIRMED_AT
from accounts.models import ApiToken, User
from accounts.services import token_create, user_create

PASSWORD = "correct horse battery staple"
_count = itertools.count(1)


def user(**fields: object) -> User:
    created = user_create(f"person{next(_count)}@example.org", PASSWORD)
    for name, value in fields.items():
        setattr(created, name, value)
    created.save()
    return created


def token_of(owner: User, expires_at: datetime | None = None) -> tuple[ApiToken, str]:
    return token_create(owner, "test", expires_at)


def bearer(text: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {text}"})


def client_of(owner: User) -> Client:
    """A client that sends a token of `owner`."""
    return bearer(token_of(owner)[1])


def confirmed(client: Client) -> Client:
    """As if its user had just signed in."""
    session = client.session
    session[CONFIRMED_AT] = timezone.now().timestamp()
    session.save()
    return client


def browser_of(owner: User) -> Client:
    """A client with a session of `owner`, held to CSRF rules as a browser is."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    return client
