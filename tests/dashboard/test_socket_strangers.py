"""WebSockets: no page of another site and no other account gets anything out of any of them."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.db import connections
from django.test import Client

from accounts.models import User
from mags_project.asgi import websockets
from tests.dashboard.route_cases import SOCKETS
from tests.dashboard.routes import Route, socket_routes
from tests.jobs import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

ROUTES = socket_routes(websockets)
PATIENCE_S = 10
HOST = "127.0.0.1:8080"
OWN = f"http://{HOST}"
BAD_AUTH, NOT_FOUND = 4401, 4404
FOREIGN = ["https://evil.example", "null", "", f"http://{HOST}.evil.example", f"https://evil.example/{HOST}"]


def test_every_websocket_has_a_case() -> None:
    missing = sorted({route.pattern for route in ROUTES} - SOCKETS.keys())
    assert not missing, (
        f"{missing} have no case. Add to SOCKETS in tests/dashboard/route_cases.py a line"
        " `pattern: SocketCase(make, say)`, where `make` makes such an object for an account and returns the"
        " route's parameters, and `say` are the messages that are answered."
    )
    assert not SOCKETS.keys() - {route.pattern for route in ROUTES}


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_cookies_count_only_from_our_own_pages(route: Route, origin: str) -> None:
    owner, path = await _made(route)
    assert await _answer(route, path, owner, origin) == BAD_AUTH


@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_owners_are_answered_and_strangers_are_told_of_nothing(route: Route) -> None:
    owner, path = await _made(route)
    # Of a host that is away its owner learns just that.
    assert await _answer(route, path, owner, OWN) not in (BAD_AUTH, NOT_FOUND)
    if route.parameters:
        stranger = await sync_to_async(factories.user)()
        assert await _answer(route, path, stranger, OWN) == NOT_FOUND
        assert await _answer(route, route.path(), stranger, OWN) == NOT_FOUND  # as if there were none
    await sync_to_async(connections.close_all)()


@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_nobody_is_answered_without_an_account(route: Route) -> None:
    _, path = await _made(route)
    assert await _answer(route, path, None, OWN) == BAD_AUTH


async def _made(route: Route) -> tuple[User, str]:
    owner = await sync_to_async(factories.user)()
    return owner, route.path(await sync_to_async(SOCKETS[route.pattern].make)(owner))


async def _answer(route: Route, path: str, person: User | None, origin: str) -> str | int:
    """The first message that comes, or the code with which it is closed."""
    headers = [(b"host", HOST.encode()), (b"origin", origin.encode())]
    if person is not None:
        headers.append((b"cookie", (await sync_to_async(_cookie)(person)).encode()))
    end: Any = WebsocketCommunicator(websockets, path, headers=headers)  # type: ignore[no-untyped-call]
    is_open, code = await end.connect(PATIENCE_S)
    if not is_open:
        return int(code or 0)
    # Who has not come in by the cookie is asked for a token; a wrong one is an answer without a wait.
    for message in ({"type": "auth", "token": "mags_none"}, *SOCKETS[route.pattern].say):
        await end.send_json_to(message)
    heard: dict[str, Any] = await end.receive_output(PATIENCE_S)
    while _is_refusal(heard):  # what goes before the close says why
        heard = await end.receive_output(PATIENCE_S)
    await end.disconnect()
    return str(heard["text"]) if heard["type"] == "websocket.send" else int(heard["code"])


def _is_refusal(heard: dict[str, Any]) -> bool:
    return heard["type"] == "websocket.send" and '"type":"error"' in heard["text"]


def _cookie(person: User) -> str:
    client = Client()
    client.force_login(person)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
