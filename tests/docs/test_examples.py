"""What the docs tell people to type, typed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.docs import playing
from tests.docs.pages import executed_pages
from tests.docs.playing import Home
from tests.e2e.running import RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.privileged]

PAGES = executed_pages()
AT_ONCE = 4  # they wait more than they compute
USERS = """
from accounts.services import token_create, user_create
for name in {names}:
    print("token", name, token_create(user_create(name + "@example.org", None), "docs")[1])
"""


@pytest.fixture(scope="module")
def played(
    stack: RunningStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """All pages, several at a time: each as a user of its own, so that none sees another's objects."""
    tokens = tokens_of_new_users(stack, len(PAGES))
    homes = [Home(tmp_path_factory.mktemp("home"), stack, token) for token in tokens]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        futures = {page: threads.submit(play, page, home) for page, home in zip(PAGES, homes, strict=True)}
        yield futures
        for future in futures.values():
            future.cancel()


def tokens_of_new_users(stack: RunningStack, count: int) -> list[str]:
    names = [f"reader-{secrets.token_hex(4)}" for _ in range(count)]
    said = stack.manage("shell", "-v0", "-c", USERS.format(names=names)).splitlines()
    return [line.split()[2] for line in said if line.startswith("token ")]


def play(page: str, home: Home) -> None:
    try:
        playing.play(page, home)
        if page.startswith("cookbook/"):
            assert not (left := playing.left_behind(home)), f"{page} leaves {', '.join(left)}"
    finally:
        playing.clear(home)


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_says_happens(page: str, played: dict[str, Future[None]]) -> None:
    played[page].result()
