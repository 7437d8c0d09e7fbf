"""SSH ports: which are listed, where they lead, and when they are free again."""

from __future__ import annotations

import base64
import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from accounts.models import User
from jobs.services import job_open_ssh
from ssh.models import Door
from ssh.services import doors_expire
from tests.gateways.asking import Gateway
from tests.jobs import factories, held
from tests.ssh.opening import Host, listen
from workspaces.services import workspace_delete

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def test_a_label_leads_to_the_sandbox_that_the_workspace_has_now(
    owner: User, host: Host, gateway: Gateway
) -> None:
    job = held.idle(host.agent, owner)
    door = job_open_ssh(job, owner).door
    status, route = gateway.route(door.pk, "ssh")
    claims = json.loads(base64.urlsafe_b64decode(route["ticket"].split(".")[1] + "=="))
    assert (status, claims["port"], "port" in route) == (200, "ssh", False)
    held.end(host.agent, held.box(job), "stopped")
    assert gateway.route(door.pk, "ssh")[1]["state"] == "stopped"
    later = held.idle(host.agent, owner)
    assert gateway.route(door.pk, "ssh")[1]["sandbox_id"] == held.box(later).pk


def test_labels_of_urls_are_none_of_ssh(owner: User, host: Host, gateway: Gateway) -> None:
    job = held.idle(host.agent, owner, url_port=80)
    door = job_open_ssh(job, owner).door
    assert gateway.route(job.pk, "ssh")[0] == gateway.route("shop", "ssh")[0] == 404
    assert gateway.route(door.pk, "http")[0] == 404


def test_the_list_is_told_as_soon_as_it_changes(owner: User, host: Host, gateway: Gateway) -> None:
    job = held.idle(host.agent, owner)
    before = gateway.ssh(0)[1]
    assert before["ports"] == {}
    found: list[dict[str, Any]] = []

    def wait() -> None:
        try:
            found.append(gateway.ssh(before["revision"], wait=20)[1])
        finally:
            connections.close_all()  # of this thread

    waiting = threading.Thread(target=wait)
    waiting.start()
    door = job_open_ssh(job, owner).door
    waiting.join(20)
    assert [answer["ports"] for answer in found] == [{str(door.port): str(door.pk)}]
    assert gateway.ssh(found[0]["revision"], wait=0.05)[1] == found[0]


def test_a_port_in_use_is_replaced_until_somebody_was_told_of_it(
    owner: User, host: Host, gateway: Gateway
) -> None:
    door = job_open_ssh(held.idle(host.agent, owner), owner).door
    ports = listen(gateway, blocked=str(door.port))
    assert list(ports.values()) == [str(door.pk)]
    assert str(door.port) not in ports
    assert listen(gateway) == ports
    assert listen(gateway, blocked=next(iter(ports))) == ports


def test_a_port_in_use_that_cannot_be_replaced_leaves_the_others(
    owner: User, host: Host, gateway: Gateway, settings: Any
) -> None:
    settings.SSH_PORTS = range(22000, 22002)
    doors = [job_open_ssh(held.idle(host.agent, owner, name), owner).door for name in ("v", "w")]
    ports = listen(gateway, blocked="22000")
    assert ports == {str(door.port): str(door.pk) for door in doors}
    opened = Door.objects.filter(opened_at__isnull=False).values_list("port", flat=True)
    assert list(opened) == [22001]


def test_a_deleted_workspaces_port_is_free_after_a_while(
    owner: User, host: Host, gateway: Gateway, settings: Any
) -> None:
    job = held.idle(host.agent, owner)
    door = job_open_ssh(job, owner).door
    held.end(host.agent, held.box(job), "stopped")
    workspace_delete(held.workspace_of(owner))
    assert listen(gateway) == {}
    settings.SSH_PORTS = range(door.port, door.port + 1)
    doors_expire()
    assert Door.objects.filter(port=door.port, released_at__isnull=False).exists()
    Door.objects.update(released_at=timezone.now() - timedelta(hours=25))
    second = job_open_ssh(held.idle(host.agent, owner), owner).door
    assert (second.port, second.pk != door.pk) == (door.port, True)


def test_without_a_workspace_the_port_goes_with_the_sandbox(
    owner: User, host: Host, gateway: Gateway
) -> None:
    job = factories.job(owner, is_persistent=True)
    sandbox = held.start(host.agent, job)
    held.finish(host.agent, job)
    job_open_ssh(held.fresh(job), owner)
    assert len(listen(gateway)) == 1
    held.end(host.agent, sandbox, "stopped")
    assert listen(gateway) == {}


def test_two_who_open_it_at_once_get_the_same(owner: User, host: Host, client: Client) -> None:
    job = held.idle(host.agent, owner)
    found: list[Any] = []

    def open_() -> None:
        try:
            found.append(job_open_ssh(job, owner).door.pk)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=open_) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (len(found), len(set(found)), Door.objects.count()) == (4, 1, 1)
