"""A browser, and a server for it to talk to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, Page

from accounts.models import User
from tests.dashboard.live import LiveAgent, WebServer
from tests.servers import RedisServer, free_ports


@pytest.fixture(scope="session")
def web_process(django_db_setup: None, redis_server: RedisServer) -> Iterator[WebServer]:
    with WebServer(*free_ports(1)) as server:
        yield server


@pytest.fixture
def web(web_process: WebServer, transactional_db: None, redis: RedisServer) -> WebServer:
    """The running web server, with an empty database. A test that stops it must start it again."""
    return web_process


@pytest.fixture
def agent(web: WebServer) -> Iterator[LiveAgent]:
    with contextlib.closing(LiveAgent(web.url)) as agent:
        yield agent


@pytest.fixture
def open_page(chromium: Browser, web: WebServer) -> Iterator[Callable[..., Page]]:
    """Opens a path in a browser that is signed in as a user. Errors in the page fail the test."""
    contexts = []
    problems: list[str] = []

    def opened(owner: User | None, path: str, prepare: Callable[[Page], None] = lambda page: None) -> Page:
        context = chromium.new_context(viewport={"width": 1440, "height": 900})
        contexts.append(context)
        if owner is not None:
            client = Client()
            client.force_login(owner)
            value = client.cookies[settings.SESSION_COOKIE_NAME].value
            context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": web.url}])
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("response", lambda r: problems.append(f"{r.status} {r.url}") if r.status >= 500 else None)
        page.on("console", lambda m: problems.append(m.text) if "Content Security Policy" in m.text else None)
        prepare(page)  # before anything is loaded in it
        page.goto(web.url + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []
