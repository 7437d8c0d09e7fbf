"""Where labels lead (docs/reference/gateway-api.md)."""

from __future__ import annotations

import threading
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from accounts.models import User
from aliases.models import Alias
from hostagent import ticketkeys
from hostagent.dataport import tickets
from hosts.models import Host
from sandboxes.models import Sandbox
from tests.gateways.asking import API, Gateway, alias
from tests.jobs import factories, held
from tests.jobs.factories import Agent

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def test_a_running_sandbox_is_told_with_a_ticket_that_its_host_believes(
    agent: Agent, gateway: Gateway, owner: User, tmp_path: Path
) -> None:
    job = held.idle(agent, owner, url_port=8000)
    status, route = gateway.route(job.pk)
    sandbox = held.box(job)
    assert (status, route["state"], route["port"], route["sandbox_id"]) == (200, "running", 8000, sandbox.pk)
    assert route["host"] == {"address": "10.0.0.5", "data_port": 8470}
    assert 600 < route["ticket_expires_at"] / 1000 - time.time() <= 900
    ticketkeys.learn(tmp_path, agent.boot(sandboxes=[sandbox])["ticket_keys"])
    ticket = tickets.check(route["ticket"], tickets.TicketKeys(tmp_path), str(agent.host.pk))
    assert (ticket.sandbox_id, ticket.epoch, ticket.port) == (sandbox.pk, sandbox.epoch, 8000)


def test_one_that_was_made_anew_may_settle(agent: Agent, gateway: Gateway, owner: User) -> None:
    job = held.idle(agent, owner, url_port=8000)
    assert gateway.route(job.pk)[1]["settling_ms"] == 0
    Sandbox.objects.filter(pk=held.box(job).pk).update(startup_command="./serve", up_at=timezone.now())
    assert 0 < gateway.route(job.pk)[1]["settling_ms"] <= 30_000
    Sandbox.objects.filter(pk=held.box(job).pk).update(up_at=timezone.now() - timedelta(seconds=31))
    assert gateway.route(job.pk)[1]["settling_ms"] == 0


def test_a_job_without_a_url_is_not_to_be_found(agent: Agent, gateway: Gateway, owner: User) -> None:
    job = held.idle(agent, owner)
    for label in (job.pk, uuid.uuid4(), "shop", "-", "a.b", str(job.pk).upper(), job.pk.hex, "x" * 64):
        assert gateway.route(label)[0] == gateway.wake(label)[0] == 404


def test_nothing_leads_to_what_belongs_to_somebody_who_may_not_sign_in(
    agent: Agent, gateway: Gateway, owner: User
) -> None:
    job = held.idle(agent, owner, url_port=8000)
    alias(owner, "shop")
    labels = (job.pk, "shop")
    assert [gateway.route(label)[0] for label in labels] == [200, 200]
    User.objects.filter(pk=owner.pk).update(is_active=False)
    assert (
        {gateway.route(label)[0] for label in labels} == {gateway.wake(label)[0] for label in labels} == {404}
    )
    User.objects.filter(pk=owner.pk).update(is_active=True)
    assert [gateway.route(label)[0] for label in labels] == [200, 200]


def test_a_sandbox_that_starts_and_one_that_is_stopped(agent: Agent, gateway: Gateway, owner: User) -> None:
    job = held.job(owner, kept=True, url_port=80)
    assert gateway.route(job.pk) == (200, {"state": "starting", "max_age_s": 1})
    assert gateway.wake(job.pk)[1]["state"] == "starting"
    sandbox = held.start(agent, job)
    held.finish(agent, job)
    assert gateway.wake(job.pk)[1]["state"] == "running"
    held.end(agent, sandbox, "stopped")
    assert gateway.route(job.pk)[1]["state"] == "stopped"
    status, answer = gateway.wake(job.pk)
    assert (status, answer["code"]) == (409, "cannot_wake")


def test_a_wake_waits_until_the_sandbox_is_up(agent: Agent, gateway: Gateway, owner: User) -> None:
    job = held.job(owner, kept=True, url_port=80)
    found: list[tuple[int, dict[str, Any]]] = []

    def wake() -> None:
        try:
            found.append(gateway.wake(job.pk, wait=20))
        finally:
            connections.close_all()  # of this thread

    waiting = threading.Thread(target=wake)
    waiting.start()
    held.start(agent, job)
    waiting.join(20)
    assert [(status, route["state"]) for status, route in found] == [(200, "running")]


def test_a_url_leads_to_the_sandbox_of_a_later_job_too(agent: Agent, gateway: Gateway, owner: User) -> None:
    first = held.idle(agent, owner, url_port=80)
    held.end(agent, held.box(first), "stopped")
    later = held.idle(agent, owner)
    status, route = gateway.route(first.pk)
    assert (status, route["sandbox_id"], route["port"]) == (200, held.box(later).pk, 80)


def test_a_sandbox_that_is_saved_for_a_job_that_waits_is_about_to_start(
    agent: Agent, gateway: Gateway, owner: User
) -> None:
    first = held.idle(agent, owner, url_port=80)
    Sandbox.objects.update(state="ending", is_stop_wished=True)
    assert gateway.route(first.pk)[1]["state"] == "stopped"
    held.job(owner, kept=True)
    assert gateway.route(first.pk)[1]["state"] == "starting"


def test_an_alias_leads_to_its_owners_workspace(agent: Agent, gateway: Gateway, owner: User) -> None:
    job = held.idle(agent, owner, url_port=3000)
    label = alias(owner)
    assert gateway.route(label)[1]["port"] == 3000
    Alias.objects.update(port=81)
    status, route = gateway.route(label)
    assert (status, route["port"], route["sandbox_id"]) == (200, 81, held.box(job).pk)
    Alias.objects.update(workspace_name="gone")
    assert gateway.route(label)[1]["state"] == "stopped"
    Alias.objects.update(workspace_name="w", owner=factories.user())
    assert gateway.route(label)[1]["state"] == "stopped"
    Alias.objects.update(released_at="2026-11-23T00:00Z")
    assert gateway.route(label)[0] == 404


def test_a_host_without_a_data_port_cannot_be_reached(agent: Agent, gateway: Gateway, owner: User) -> None:
    job = held.idle(agent, owner, url_port=80)
    Host.objects.update(data_address=None, data_port=None)
    assert gateway.route(job.pk)[1]["state"] == "stopped"
    status, answer = gateway.wake(job.pk)
    assert (status, "host" in answer["error"]) == (409, True)


@pytest.mark.parametrize("key", ["", "another", "a-key-of-gateways2"])
def test_another_key_is_refused(gateway: Gateway, key: str) -> None:
    stranger = Gateway(key)
    assert [call[0] for call in (stranger.route("a"), stranger.wake("a"), stranger.ssh(0))] == [401] * 3


def test_without_a_key_of_ours_nobody_is_a_gateway(gateway: Gateway, settings: Any) -> None:
    settings.GATEWAY_KEY = ""
    assert gateway.route("a")[0] == Gateway("").route("a")[0] == 401


def test_no_user_is_a_gateway_and_no_gateway_a_user(gateway: Gateway, owner: User) -> None:
    assert factories.client_of(owner).get(f"{API}/routes/a").status_code == 401
    key = {"Authorization": "Bearer a-key-of-gateways"}
    assert Client(headers=key).get("/api/v1/mags-jobs").status_code == 401


@pytest.mark.parametrize("query", ["kind=ftp", "wait=nan", "wait=-1", "after=x", "blocked=1,x"])
def test_a_bad_query_is_refused(gateway: Gateway, query: str) -> None:
    client = Client(headers={"Authorization": "Bearer a-key-of-gateways"})
    assert client.get(f"{API}/ssh?{query}").status_code == 400
