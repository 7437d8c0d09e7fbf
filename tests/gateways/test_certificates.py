"""For which names the TLS proxy may get certificates."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from tests.gateways.asking import API, alias
from tests.jobs import held
from tests.jobs.factories import Agent

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def ask(domain: str) -> int:
    return Client().get(f"{API}/certificate", {"domain": domain}).status_code


@pytest.fixture(autouse=True)
def form(settings: Any) -> None:
    settings.URL_FORM = "https://{label}.apps.example.org"


def test_names_that_lead_somewhere_have_one_and_no_others(agent: Agent, owner: User) -> None:
    job = held.idle(agent, owner, url_port=80)
    private = held.idle(agent, owner, "private")
    alias(owner)
    assert (
        ask(f"{job.pk}.apps.example.org")
        == ask("shop.apps.example.org")
        == ask("Shop.Apps.Example.org")
        == 200
    )
    labels = (str(private.pk), "none", "a.shop", "")
    hosts = ("shop", "shop.example.org", "apps.example.org", "shop.apps.example.org.", "")
    for other in (*(f"{label}.apps.example.org" for label in labels), *hosts):
        assert ask(other) == 404, other


def test_the_path_form_has_no_names(settings: Any, agent: Agent, owner: User) -> None:
    held.idle(agent, owner)
    alias(owner)
    settings.URL_FORM = "https://apps.example.org/-/{label}"
    assert ask("shop.apps.example.org") == ask("apps.example.org") == 404


def test_a_stopped_sandboxs_name_keeps_its_certificate(agent: Agent, owner: User) -> None:
    job = held.idle(agent, owner, url_port=80)
    held.end(agent, held.box(job), "stopped")
    assert ask(f"{job.pk}.apps.example.org") == 200
