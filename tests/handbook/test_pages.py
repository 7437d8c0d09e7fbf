"""The pages over HTTP, as somebody who is not signed in sees them."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from accounts.models import User
from handbook.contents import contents
from tests.accounts.factories import user

WITHOUT_MARKUP = re.compile(r"<[^>]+>")


def text_of(path: str, status: int = 200) -> str:
    response = Client().get(path, follow=True)  # some are one with a slash at their end
    assert response.status_code == status, path
    return str(response.content.decode())


def test_every_page_is_public() -> None:
    for entry in contents().entries:
        assert entry.title in WITHOUT_MARKUP.sub("", text_of(entry.address)).replace("&#x27;", "'")


def test_every_page_is_there_as_markdown() -> None:
    for entry in contents().entries:
        response = Client().get(entry.raw_address)
        assert response.status_code == 200, entry.raw_address
        assert response["Content-Type"] == "text/markdown; charset=utf-8"
        assert response.content.startswith(b"# "), entry.raw_address


@pytest.mark.parametrize(
    "path",
    [
        "/docs/nowhere/",
        "/docs/nowhere.md",
        "/docs/../mags_project/settings.py",
        "/docs/..%2f..%2fetc%2fpasswd.md",
        "/docs/%2e%2e/SECURITY.md",
        "/docs//etc/passwd.md",
        "/docs/contents.toml",
        "/docs/howto/ssh.md/",
    ],
)
def test_nothing_else_is_served(path: str) -> None:
    text_of(path, 404)


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_pages_are_only_read(method: str) -> None:
    assert getattr(Client(), method)("/docs/").status_code == 405


def test_a_page_shows_where_it_is() -> None:
    text = text_of("/docs/howto/ssh/")
    assert re.search(r'href="/docs/howto/ssh/"\s+aria-current="page"', text)
    assert 'href="#other-programs"' in text
    assert 'rel="prev"' in text
    assert 'rel="next"' in text


def test_strangers_are_offered_to_sign_in() -> None:
    assert 'href="/login/"' in text_of("/docs/")


@pytest.mark.django_db
def test_who_is_signed_in_is_offered_the_dashboard() -> None:
    client = Client()
    owner: User = user()
    client.force_login(owner)
    text = client.get("/docs/").content.decode()
    assert ">Dashboard</a>" in text
    assert owner.email not in text


def test_llms_txt_lists_every_page() -> None:
    text = text_of("/llms.txt")
    assert text.startswith("# Mags\n\n> ")
    links = re.findall(r"\]\(http://[^/]+(/[^)]+)\): .", text)
    assert {entry.raw_address for entry in contents().ordered} <= set(links)
    for link in links:
        text_of(link)


def test_llms_full_txt_has_the_text_of_every_page() -> None:
    text = text_of("/llms-full.txt")
    for entry in contents().ordered:
        assert f"{entry.address} -->" in text


def test_the_skill_is_one_file() -> None:
    assert "MAGS_API_TOKEN" in text_of("/skill.md")


def test_decisions_are_on_one_page() -> None:
    text = text_of("/docs/decisions/")
    for decision in contents().decisions:
        assert decision.address in text
