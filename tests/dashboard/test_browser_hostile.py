"""Hostile text in everything that people name, on every page: nothing of it runs, and no page breaks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import ApiToken, User
from aliases.services import alias_create
from execs.models import Exec
from execs.states import Origin
from files.models import Upload
from jobs.models import Job
from tests.accounts.factories import token_of, user
from tests.dashboard.live import LiveAgent, WebServer
from tests.dashboard.saved import LONG
from tests.jobs import held

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

Open = Callable[..., Page]
HOSTILE = (
    "\"'><script>owned=1</script><img src=x onerror=owned=2><svg/onload=owned=3>"
    "</title></textarea>{{7*7}}${7*7}<!-- javascript:owned=4 "
    "\x1b[31mred\x1b]0;title\x07 \u202egnp.exe \u2066\u05d0\u05d1\u05d2\u200f \u0301\u0301\u0301 "
)
ENDLESS = HOSTILE + "W" * 300
PATHS = (
    "/", "/jobs/", "/jobs/?q={q}", "/jobs/?from={job}", "/jobs/{job}/", "/jobs/{job}/#commands",
    "/jobs/{job}/#timeline", "/sandboxes/", "/sandboxes/?q={q}", "/workspaces/", "/workspaces/?q={q}",
    "/workspaces/{workspace}/", "/aliases/", "/aliases/?workspace={q}", "/files/", "/cron/", "/usage/",
    "/tokens/", "/settings/", "/hosts/", "/hosts/health/",
)  # fmt: skip
QUERY = "%22%3E%3Cimg%20src=x%20onerror=owned=5%3E"
WIDTHS = (1440, 360)
# What hostile text would have made, and who sticks out of the window.
FOUND = """() => ({
  owned: typeof owned,
  made: document.querySelectorAll("main img, main script, main svg[onload], [onerror], [onload]").length,
  wide: document.documentElement.scrollWidth > innerWidth
    ? [...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > innerWidth)
      .map((e) => e.outerHTML.slice(0, 80)).slice(0, 5)
    : [],
})"""


@pytest.fixture
def owner() -> User:
    found = user(is_staff=True)
    User.objects.filter(pk=found.pk).update(name=HOSTILE[:150])
    return found


def hostile_job(agent: LiveAgent, owner: User) -> Job:
    """With a sandbox, a command, a file, an alias; written past what checks names, as if one had failed."""
    job = held.idle(agent, owner, LONG, script=ENDLESS.replace("\x00", ""), url_port=8000)
    alias_create(owner, "a" * 63, LONG, None)
    upload = Upload.objects.create(
        owner=owner,
        name=ENDLESS[:255],
        size_bytes=1,
        sha256="a" * 64,
        expires_at=timezone.now() + timedelta(days=1),
    )
    Job.objects.filter(pk=job.pk).update(
        name=HOSTILE[:63], message=ENDLESS[:300], environment={HOSTILE: HOSTILE}, startup_command=ENDLESS,
        files=[{"id": str(upload.pk), "name": upload.name, "sha256": upload.sha256, "bytes": 1}],
    )  # fmt: skip
    Exec.objects.create(owner=owner, job=job, origin=Origin.API, command=ENDLESS, message=ENDLESS[:500])
    ApiToken.objects.filter(pk=token_of(owner)[0].pk).update(name=ENDLESS[:100])
    agent.host.name = HOSTILE[:60]
    agent.host.save(update_fields=["name"])
    return job


def test_hostile_names(open_page: Open, web: WebServer, agent: LiveAgent, owner: User) -> None:
    job = hostile_job(agent, owner)
    dialogs: list[str] = []
    page = open_page(owner, "/cron/")
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    for path in PATHS:
        page.goto("about:blank")  # so that a tab named by the address is opened anew
        answer = page.goto(web.url + path.format(job=job.pk, workspace=LONG, q=QUERY))
        assert answer is not None
        assert answer.status == 200, path
        expect(page.locator("main")).to_be_visible()
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            found = page.evaluate(FOUND)
            assert (found["owned"], found["made"]) == ("undefined", 0), path
            assert found["wide"] == [], (path, width)
    assert dialogs == []
