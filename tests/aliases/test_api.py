"""The public API of aliases (WIRE.md section 2)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from aliases.models import Alias
from aliases.services import aliases_expire
from tests.jobs import factories, held
from tests.jobs.factories import API, client_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

ALIASES = f"{API}/mags-url-aliases"


def create(
    client: Client, name: Any = "shop", workspace: Any = "web", **fields: Any
) -> tuple[int, dict[str, Any]]:
    body = {"subdomain": name, "workspace_id": workspace} | fields
    response = client.post(ALIASES, body, content_type="application/json")
    return response.status_code, response.json()


def stranger() -> Client:
    other = factories.user()
    held.job(other, "web")
    return client_of(other)


def test_an_alias_is_made_shown_listed_and_removed(client: Client) -> None:
    status, made = create(client, "Shop", port=8000, domain="elsewhere.example")
    assert (status, made["subdomain"], made["workspace_id"], made["port"]) == (201, "shop", "web", 8000)
    assert made["url"] == "http://shop.apps.localhost:8081"
    assert client.get(f"{ALIASES}/shop").json() == made
    assert client.get(ALIASES).json() == {"aliases": [made], "total": 1, "page": 1, "page_size": 20}
    assert client.delete(f"{ALIASES}/shop").status_code == 204
    assert client.delete(f"{ALIASES}/shop").status_code == 404
    assert client.get(ALIASES).json()["total"] == 0


def test_what_is_taken_is_a_conflict_also_for_its_owner(client: Client) -> None:
    create(client)
    for other in (client, stranger()):
        status, answer = create(other)
        assert (status, answer["code"], "already exists" in answer["error"]) == (409, "alias_taken", True)


def test_a_stranger_sees_nothing_of_it(client: Client) -> None:
    create(client)
    other = stranger()
    assert other.get(ALIASES).json()["total"] == 0
    assert other.get(f"{ALIASES}/shop").status_code == other.get(f"{ALIASES}/none").status_code == 404
    assert other.delete(f"{ALIASES}/shop").status_code == 404
    assert client.get(f"{ALIASES}/shop").status_code == 200


def test_a_released_name_is_its_owners_for_a_while(client: Client) -> None:
    create(client)
    client.delete(f"{ALIASES}/shop")
    other = stranger()
    assert create(other)[0] == 409
    assert create(client)[0] == 201
    client.delete(f"{ALIASES}/shop")
    assert aliases_expire() == 0
    Alias.objects.update(released_at=timezone.now() - timedelta(days=31))
    assert create(other)[0] == 201


def test_rows_of_free_names_are_removed(client: Client) -> None:
    create(client)
    create(client, "kept")
    client.delete(f"{ALIASES}/shop")
    Alias.objects.filter(name="shop").update(released_at=timezone.now() - timedelta(days=31))
    assert (aliases_expire(), list(Alias.objects.values_list("name", flat=True))) == (1, ["kept"])


@pytest.mark.parametrize(
    "name",
    [
        *("", "-a", "a-", "a.b", "a_b", "a" * 64, "ä", "www", "API", "xn--bcher-kva", 7, None),
        *("5f0c9f6e-3a53-4d0e-9a55-0d9b2a3f7c11", "5f0c9f6e3a534d0e9a550d9b2a3f7c11"),
    ],
)
def test_a_bad_name_is_refused(client: Client, name: Any) -> None:
    status, answer = create(client, name if not isinstance(name, int) else [name])
    assert (status, list(answer["fields"]), Alias.objects.count()) == (400, ["subdomain"], 0)


@pytest.mark.parametrize("port", [0, 22, 65_536, -1, "x", 1.5])
def test_a_bad_port_is_refused(client: Client, port: Any) -> None:
    status, answer = create(client, port=port)
    assert (status, list(answer["fields"])) == (400, ["port"])


@pytest.mark.parametrize("workspace", ["none", "../web"])
def test_it_leads_to_a_workspace_of_ones_own(client: Client, workspace: str) -> None:
    assert create(client, workspace=workspace)[0] in (400, 404)
    held.job(factories.user(), "theirs")
    assert create(client, workspace="theirs")[0] == 404


def test_without_a_token_nothing_is_answered(owner: User) -> None:
    assert create(Client())[0] == 401
