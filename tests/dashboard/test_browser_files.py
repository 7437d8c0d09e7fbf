"""The page of uploads in a real browser, with a real object store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from files.models import Upload
from tests.accounts.factories import user
from tests.dashboard import axe
from tests.dashboard.live import WebServer
from tests.jobs import factories
from tests.servers import RedisServer, free_ports
from tests.workspaces.seaweed import ObjectStoreServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120), pytest.mark.usefixtures("bucket")]

Open = Callable[..., Page]
# Browsers write quotes in the names of a form's files as %22, and line breaks as %0A.
HOSTILE = 'a "quote" <img src=x onerror=alert(1)> \u202egnp.txt'
DROP = """(form, name) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File(["dropped"], name));
  form.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
}"""


@pytest.fixture(scope="module")
def web_process(
    django_db_setup: None, redis_server: RedisServer, object_store_server: ObjectStoreServer
) -> Iterator[WebServer]:
    own: dict[str, Any] = {**object_store_server.environment(), "MAGS_FILE_LIMIT_MB": "1"}
    with WebServer(*free_ports(1), own) as server:
        yield server


def test_a_file_is_chosen_used_and_deleted(open_page: Open, tmp_path: Path) -> None:
    owner = user()
    page = open_page(owner, "/files/")
    expect(page.locator("#file-list h2")).to_have_text("No files yet")
    (tmp_path / "data.csv").write_text("1,2\n")
    (tmp_path / "large.bin").write_bytes(bytes(1024 * 1024 + 1))
    page.set_input_files("#chosen", [tmp_path / "large.bin", tmp_path / "data.csv"])
    expect(page.locator("[data-uploads] .is-bad")).to_contain_text("over the limit of 1.0 MB")
    row = page.locator("#file-list tbody tr")
    expect(row.locator(".col-name")).to_have_text("data.csv")
    upload = Upload.objects.get()
    assert upload.sha256 == hashlib.sha256(b"1,2\n").hexdigest()
    expect(row.locator(".col-digest")).to_contain_text(upload.sha256[:12])
    page.click("[data-uploads] button:text('Dismiss')")
    axe.check_both_themes(page)

    job = factories.job(owner, name="reader", file_ids=(str(upload.pk),))
    expect(row.locator(".col-use a")).to_have_attribute("href", f"/jobs/{job.pk}/")
    page.click("[data-use]")
    expect(page.locator("#file-use")).to_contain_text(f'"file_ids": ["{upload.pk}"]')
    page.keyboard.press("Escape")

    page.click("#file-list button:text('Delete…')")
    expect(page.locator("#file-delete")).to_contain_text("data.csv")
    page.keyboard.press("Escape")
    assert Upload.objects.exists()
    page.click("#file-list button:text('Delete…')")
    page.click("#file-delete button:text('Delete file')")
    expect(page.locator("#file-list h2")).to_have_text("No files yet")
    assert not Upload.objects.exists()


def test_a_dropped_file_with_a_hostile_name(open_page: Open) -> None:
    page = open_page(user(), "/files/")
    page.set_viewport_size({"width": 360, "height": 740})
    page.locator("[data-drop]").evaluate(DROP, HOSTILE + "x" * 200)
    expect(page.locator("#file-list tbody .col-name")).to_contain_text("a %22quote%22 <img src=x")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator("[data-drop]").evaluate(DROP, "n" * 256)
    expect(page.locator("[data-uploads] .is-bad")).to_contain_text("at most 255 are taken")


def test_uploads_are_told_of_elsewhere(open_page: Open, tmp_path: Path) -> None:
    owner = user()
    page, other = open_page(owner, "/files/"), open_page(owner, "/files/")
    expect(other.locator("#file-list h2")).to_be_visible()
    (tmp_path / "data.csv").write_text("1,2\n")
    page.set_input_files("#chosen", tmp_path / "data.csv")
    expect(other.locator("#file-list tbody .col-name")).to_have_text("data.csv")


def test_the_page_of_schedules_offers_what_there_is(open_page: Open) -> None:
    page = open_page(user(), "/cron/")
    expect(page.locator("main")).to_contain_text("no schedules of its own yet")
    assert page.locator("main :is(input, select, form)").count() == 0
    axe.check_both_themes(page)
