"""The page of aliases over HTTP: what its forms do and say."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from aliases.models import Alias
from aliases.services import alias_create
from tests.accounts.factories import user
from tests.dashboard.saved import workspace_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


@pytest.fixture
def owner() -> User:
    owner = user()
    workspace_of(owner, "web")
    return owner


@pytest.fixture
def client(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


def send(client: Client, action: str, **fields: str) -> tuple[int, str]:
    response: Any = client.post("/aliases/", {"action": action, **fields})
    return response.status_code, response.get("Location") or response.content.decode()


def test_strangers_are_sent_to_sign_in() -> None:
    assert Client().get("/aliases/")["Location"] == "/login/?next=/aliases/"
    assert Client().post("/aliases/", {"action": "create"}).status_code == 302


def test_an_empty_page_teaches(client: Client) -> None:
    page = client.get("/aliases/?workspace=web").content.decode()
    assert "mags url alias shop my-space" in page
    assert 'value="web"' in page


def test_creating_one(client: Client, owner: User) -> None:
    assert send(client, "create", subdomain="Shop", workspace="web", port="8000") == (
        302, "/aliases/?done=created#main",
    )  # fmt: skip
    alias = Alias.objects.get(owner=owner)
    assert (alias.name, alias.workspace_name, alias.port) == ("shop", "web", 8000)
    page = client.get("/aliases/?done=created").content.decode()
    assert "http://shop.apps.localhost:8081" in page
    assert "leads to its workspace" in page


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({}, 400, "Enter a name."),
        ({"subdomain": "www", "workspace": "web"}, 400, "is reserved"),
        ({"subdomain": "shop", "workspace": "nobodys"}, 404, "workspace"),
        ({"subdomain": "shop", "workspace": "web", "port": "22"}, 400, "but not 22"),
        ({"subdomain": "shop", "workspace": "web", "port": "x"}, 400, "Enter a port from 1 to 65535"),
        ({"subdomain": "taken", "workspace": "web"}, 409, "already exists"),
        ({"subdomain": "<b>", "workspace": "web"}, 400, "&lt;b&gt;"),
    ],
)
def test_what_cannot_be_made_is_explained_and_nothing_typed_is_lost(
    client: Client, fields: dict[str, str], status: int, words: str
) -> None:
    other = user()
    workspace_of(other, "w")
    alias_create(other, "taken", "w", None)
    code, page = send(client, "create", **fields)
    assert code == status
    assert words in page
    if status != 400 or "subdomain" in fields:
        assert f'value="{fields["subdomain"].replace("<", "&lt;").replace(">", "&gt;")}"' in page
    assert not Alias.objects.exclude(name="taken").exists()


def test_releasing_one(client: Client, owner: User) -> None:
    alias_create(owner, "shop", "web", None)
    assert send(client, "release", subdomain="shop") == (302, "/aliases/?done=released#main")
    assert Alias.objects.get().released_at is not None


def test_someone_elses_is_not_there(client: Client) -> None:
    other = user()
    workspace_of(other, "w")
    alias_create(other, "theirs", "w", None)
    assert "theirs" not in client.get("/aliases/").content.decode()
    code, page = send(client, "release", subdomain="theirs")
    assert code == 404
    assert "There is no such alias." in page
    assert Alias.objects.get().released_at is None


def test_an_unknown_action_is_refused(client: Client) -> None:
    assert send(client, "burn")[0] == 400
