"""Sandboxes that stay, as people use them: what the pages tell them to type, sleep, and what comes back."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.layout import ROOT
from tests.e2e.running import RunningStack
from tests.e2e.visitor import Visitor

pytestmark = [pytest.mark.stack, pytest.mark.privileged, pytest.mark.timeout(300)]

SERVE = "cd /root && exec python3 -m http.server 8000"
SOON = "__MAGS_IDLE_MIN=0.03"  # asleep after 2 s without use
EVENT_LIMIT_S = 60


class Person:
    """Somebody at a shell, with `mags`."""

    def __init__(self, stack: RunningStack) -> None:
        environment = stack.environment()
        self.environment = {**environment, "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"}
        self.client = stack.client()

    def types(self, line: str, *, stdin: str = "", code: int = 0) -> str:
        done = subprocess.run(
            ["bash", "-ec", line], env=self.environment, input=stdin,
            capture_output=True, text=True, timeout=150, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def events(self, job: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get(f"/mags-jobs/{job}/events?page_size=200").json()[
            "events"
        ]
        return found

    def sees(self, job: str, *kinds: str) -> dict[str, Any]:
        """The last of the events of these kinds, once all of them were there in this order."""
        deadline = time.monotonic() + EVENT_LIMIT_S
        while True:
            left = list(kinds)
            for event in (events := self.events(job)):
                if left and event["kind"] == left[0]:
                    last = event
                    left.pop(0)
            if not left:
                return last
            assert time.monotonic() < deadline, (left, events)
            time.sleep(0.2)


@pytest.fixture
def person(stack: RunningStack) -> Iterator[Person]:
    found = Person(stack)
    yield found
    found.client.close()


def examples(page: str) -> str:
    text = (ROOT / "docs/howto" / page).read_text()
    return "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))


def test_what_the_page_on_staying_tells_people_to_type(person: Person) -> None:
    printed = person.types(examples("sandboxes-that-stay.md"))
    assert "● box is up" in printed
    assert "\ndraft\n" in printed
    assert "app runs this whenever it is made anew: nothing" in printed
    assert printed.splitlines()[-1] == "The sandbox of app is being stopped."


def test_what_the_page_on_always_on_tells_people_to_type(person: Person, stack: RunningStack) -> None:
    printed = person.types(examples("always-on.md"))
    assert "never sleeps" in printed
    assert Visitor(stack).until("hello-site").text == "Hello\n"
    person.types("mags stop site")


def test_an_interactive_sandbox_sleeps_and_is_woken_by_a_command(person: Person) -> None:
    person.types(f"mags new shell --env {SOON}")
    person.types("mags exec shell 'sleep 1000 & echo $! > /tmp/pid'")
    slept = person.sees("shell", "slept")
    assert slept["detail"]["evidence"]["connections"] == 0
    assert "sleeping" in person.types("mags status shell").splitlines()[0]
    assert (
        person.types("mags exec shell 'kill -0 $(cat /tmp/pid) && tr a-z A-Z'", stdin="it lives")
        == "IT LIVES"
    )
    person.types("mags exec shell 'exit 7'", code=7)
    assert person.sees("shell", "slept", "woke")["detail"]["cause"] in ("exec", "connection")
    person.types("mags stop shell")


def test_a_web_server_that_was_stopped_for_idleness_serves_again(person: Person, stack: RunningStack) -> None:
    """At the same URL and at its other name, for whoever asks first."""
    person.types(f"mags new shop -p --url --port 8000 --env {SOON} --startup-command '{SERVE}'")
    person.types("mags exec shop 'echo open > /root/index.html'")
    person.types("mags url alias shop-open shop")
    before = person.client.get("/mags-jobs/shop").json()
    visitor = Visitor(stack)
    assert visitor.until(before["id"]).text == visitor.until("shop-open").text == "open\n"
    person.sees("shop", "slept", "stopped_idle")
    stopped = person.client.get("/mags-jobs/shop").json()
    assert (stopped["id"], stopped["sandbox"]) == (before["id"], "sleeping")
    assert visitor.until("shop-open").text == visitor.until(before["id"]).text == "open\n"
    assert person.sees("shop", "stopped_idle", "waking")["detail"]["cause"] == "url"
    person.sees("shop", "stopped_idle", "waking", "up", "startup_started")
    after = person.client.get("/mags-jobs/shop").json()
    assert (after["id"], after["url"], after["sandbox"]) == (before["id"], before["url"], "running")
    person.types("mags stop shop && mags url remove shop-open")
