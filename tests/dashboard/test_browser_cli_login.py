"""`mags login` as a real process, and a person who consents in a real browser."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from accounts.models import ApiToken, User
from tests.accounts import factories
from tests.dashboard import axe
from tests.dashboard.live import WebServer

Open = Callable[..., Page]
PATIENCE_S = 20
OPENER = """#!/bin/sh
printf %s "$1" > "$OPENED.new" && mv "$OPENED.new" "$OPENED"
"""


class CommandLine:
    """`mags` at a terminal, in a home of its own, with a browser that only writes down what it is to open."""

    def __init__(self, home: Path, url: str) -> None:
        self.home, self.url = home, url
        self.opened = home / "opened"
        opener = home / "opener"
        opener.write_text(OPENER)
        opener.chmod(0o700)
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "TERM": "dumb", "MAGS_API_URL": url,
            "BROWSER": f"{opener} %s", "OPENED": str(self.opened),
            "PYTHONPATH": str(Path.cwd() / "clients/python/src"),
        }  # fmt: skip
        self._running: list[subprocess.Popen[str]] = []

    def start(self, *args: str) -> subprocess.Popen[str]:
        main, inner = pty.openpty()  # something that is a terminal, to ask nobody for a token on stdin
        process = subprocess.Popen(
            [sys.executable, "-m", "mags", *args], env=self.environment, stdin=inner, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.home,
        )  # fmt: skip
        os.close(inner)
        self._running.append(process)
        self._terminals = [*getattr(self, "_terminals", []), main]
        return process

    def run(self, *args: str) -> str:
        return self.start(*args).communicate(timeout=PATIENCE_S)[0]

    def wait_for_address(self) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while not self.opened.exists():
            assert time.monotonic() < deadline, "no browser was opened"
            time.sleep(0.02)
        return self.opened.read_text()

    def close(self) -> None:
        for process in self._running:
            process.kill()
            process.communicate()
        for terminal in self._terminals:
            os.close(terminal)


@pytest.fixture
def command(tmp_path: Path, web: WebServer) -> Iterator[CommandLine]:
    line = CommandLine(tmp_path, web.url)
    line._terminals = []
    yield line
    line.close()


@pytest.fixture
def owner(web: WebServer) -> User:
    return factories.user()


def test_login_by_browser(command: CommandLine, open_page: Open, owner: User, web: WebServer) -> None:
    login = command.start("login")
    address = command.wait_for_address()
    page = open_page(owner, address.removeprefix(web.url))
    code = page.locator(".consent-code output").inner_text()
    axe.check_both_themes(page)
    page.fill("#token-name", "my laptop")
    page.get_by_role("radio", name="Read").check()
    assert not ApiToken.objects.exists()
    page.get_by_role("button", name="Create the token").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are logged in")
    said, _ = login.communicate(timeout=PATIENCE_S)
    assert login.returncode == 0, said
    assert f"Your code is {code}" in said
    assert owner.email in said
    file = command.home / ".mags" / "config.json"
    assert file.stat().st_mode & 0o777 == 0o600
    saved = json.loads(file.read_text())["api_token"]
    token = ApiToken.objects.get()
    assert (token.name, token.scopes) == ("my laptop", ["read"])
    assert saved.startswith(token.prefix)
    assert saved not in said
    assert "'my laptop' is for read" in command.run("whoami")
    assert "scope `run`" in command.run("run", "true")
    assert "Logged out." in command.run("logout")
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert not file.exists()


def test_denied_login_by_browser(command: CommandLine, open_page: Open, owner: User, web: WebServer) -> None:
    login = command.start("login")
    page = open_page(owner, command.wait_for_address().removeprefix(web.url))
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The login was denied")
    said, _ = login.communicate(timeout=PATIENCE_S)
    assert (login.returncode, "denied on the page" in said) == (125, True)
    assert not ApiToken.objects.exists()


def test_login_by_code(command: CommandLine, open_page: Open, owner: User, web: WebServer) -> None:
    login = command.start("login", "--no-browser")
    assert login.stdout is not None
    said = login.stdout.readline()
    assert said == f"Open {web.url}/device/ in any browser and enter the code\n"
    code = login.stdout.readline().strip()
    page = open_page(owner, "/device/")
    axe.check_both_themes(page)
    page.get_by_label("Code").fill(code.lower())
    page.keyboard.press("Enter")
    expect(page.locator(".consent-code output")).to_have_text(code)
    page.get_by_role("button", name="Create the token").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are logged in")
    rest, _ = login.communicate(timeout=PATIENCE_S)
    assert login.returncode == 0, rest
    assert owner.email in command.run("whoami")
