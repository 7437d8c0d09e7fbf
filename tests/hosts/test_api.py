"""Enrolment and heartbeats, over the host API."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from hosts.models import EnrolmentToken, Host
from hosts.services import Capacity, enrolment_token_create, host_boot, host_revoke
from tests.accounts import factories
from tests.shape import assert_error

API = "/api/host/v1"
CAPACITY = {"sandboxes": 4, "memory_mb": 4096, "vcpus": 2}


def enrol(token: str, name: str = "box", **fields: Any) -> Any:
    body = {"token": token, "name": name, "agent_version": "0.1.0", **fields}
    return Client().post(f"{API}/enrol", body, content_type="application/json")


def enrolled(name: str = "box") -> tuple[Host, Client]:
    answer = enrol(enrolment_token_create(timedelta(hours=1)), name).json()
    return Host.objects.get(pk=answer["host_id"]), factories.bearer(answer["key"])


def boot(host: Host) -> int:
    made = host_boot(
        host.pk,
        machine_boot_id="m1",
        agent_version="0.1.0",
        isolation="container",
        capacity=Capacity(1, 1, 1),
    )
    return made.epoch


def heartbeat(client: Client, epoch: Any, **fields: Any) -> Any:
    body = {"boot_epoch": epoch, "capacity": CAPACITY, "running": 0, "draining": False, "load": 0.1, **fields}
    return client.post(f"{API}/heartbeat", body, content_type="application/json")


@pytest.mark.django_db
def test_token_from_the_command_enrols_one_host_once() -> None:
    out = io.StringIO()
    call_command("host_enrolment_token", stdout=out)
    token = out.getvalue().strip()
    answer = enrol(token)
    assert answer.status_code == 201
    host = Host.objects.get(pk=answer.json()["host_id"])
    assert answer.json()["key"].startswith("magshost_")
    assert answer.json()["key"] not in str(Host.objects.values().get())
    used = EnrolmentToken.objects.get()
    assert used.host == host
    assert token not in str(EnrolmentToken.objects.values().get())
    assert_error(enrol(token, "other"), 403, "bad_enrolment_token")
    assert Host.objects.count() == 1


@pytest.mark.django_db
def test_expired_and_made_up_tokens_are_refused() -> None:
    token = enrolment_token_create(timedelta(hours=1))
    EnrolmentToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert_error(enrol(token), 403, "bad_enrolment_token")
    assert_error(enrol("magsenrol_no"), 403, "bad_enrolment_token")
    assert not Host.objects.exists()


@pytest.mark.django_db
def test_taken_name_does_not_use_up_the_token() -> None:
    enrolled("box")
    token = enrolment_token_create(timedelta(hours=1))
    assert_error(enrol(token, "box"), 409, "host_name_taken")
    assert enrol(token, "box2").status_code == 201


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "a/b"), ("name", ""), ("name", "x" * 64), ("name", "a\nb"), ("name", {"x": 1}),
     ("token", ["x"]), ("agent_version", "v" * 41)],
)  # fmt: skip
def test_bad_enrolment_is_400_and_creates_nothing(field: str, value: object) -> None:
    token = enrolment_token_create(timedelta(hours=1))
    error = assert_error(enrol(**{"token": token, "name": "box", field: value}), 400, "invalid")
    assert field in error["fields"]
    assert not Host.objects.exists()


@pytest.mark.django_db
def test_heartbeat_tells_capacity_and_life() -> None:
    host, client = enrolled()
    epoch = boot(host)
    Host.objects.update(is_online=False, last_seen_at=None)
    assert heartbeat(client, epoch).json()["draining"] is False
    host.refresh_from_db()
    assert host.is_online
    assert host.last_seen_at is not None
    assert (host.capacity_sandboxes, host.capacity_memory_mb, host.capacity_vcpus) == (4, 4096, 2)


@pytest.mark.django_db
def test_draining_is_on_when_operator_or_agent_asks() -> None:
    host, client = enrolled()
    epoch = boot(host)
    assert heartbeat(client, epoch, draining=True).json()["draining"] is True
    assert heartbeat(client, epoch, draining=False).json()["draining"] is False
    call_command("host_drain", "box", stdout=io.StringIO())
    assert heartbeat(client, epoch, draining=False).json()["draining"] is True
    call_command("host_drain", "box", "--off", stdout=io.StringIO())
    assert heartbeat(client, epoch, draining=False).json()["draining"] is False
    with pytest.raises(CommandError, match="no host of this name"):
        call_command("host_drain", "nobody")


@pytest.mark.django_db
def test_older_life_of_the_agent_is_told_so_and_changes_nothing() -> None:
    host, client = enrolled()
    old = boot(host)
    new = boot(host)
    assert new == old + 1
    Host.objects.update(last_seen_at=None)
    assert_error(heartbeat(client, old), 409, "stale_boot")
    host.refresh_from_db()
    assert host.last_seen_at is None
    assert heartbeat(client, new).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value"),
    [("boot_epoch", "x"), ("boot_epoch", 0), ("boot_epoch", 2**40), ("draining", "maybe"), ("capacity", 5),
     ("capacity", {"sandboxes": -1, "memory_mb": 1, "vcpus": 1}), ("capacity", {"sandboxes": 1})],
)  # fmt: skip
def test_bad_heartbeat_is_400(field: str, value: object) -> None:
    host, client = enrolled()
    sent = {"boot_epoch": boot(host), field: value}
    assert_error(heartbeat(client, sent.pop("boot_epoch"), **sent), 400, "invalid")


@pytest.mark.django_db
def test_only_an_enrolled_host_may_speak() -> None:
    host, client = enrolled()
    epoch = boot(host)
    person = factories.client_of(factories.user())
    for stranger in (
        Client(),
        factories.bearer("magshost_no"),
        person,
        factories.browser_of(factories.user()),
    ):
        assert_error(heartbeat(stranger, epoch), 401, "bad_host_key")
    call_command("host_revoke", "box", stdout=io.StringIO())
    assert_error(heartbeat(client, epoch), 401, "bad_host_key")
    with pytest.raises(CommandError, match="no host of this name"):
        call_command("host_revoke", "nobody")


@pytest.mark.django_db
def test_revoked_host_gives_its_name_to_its_successor() -> None:
    former, _ = enrolled("box")
    host_revoke("box")
    successor, client = enrolled("box")
    assert successor.pk != former.pk
    heartbeat(client, boot(successor))
    call_command("host_drain", "box", stdout=io.StringIO())
    assert list(Host.objects.filter(is_draining=True)) == [successor]


@pytest.mark.django_db
def test_host_key_is_no_token_for_the_public_api() -> None:
    _, client = enrolled()
    assert_error(client.get("/api/v1/auth/me"), 401, "bad_token")


@pytest.mark.django_db
def test_a_host_speaks_only_for_itself() -> None:
    mine, client = enrolled("mine")
    other, _ = enrolled("other")
    boot(other)
    assert_error(heartbeat(client, 1), 409, "stale_boot")  # the other's epoch is not mine
    boot(mine)
    heartbeat(client, 1)
    other.refresh_from_db()
    assert other.capacity_sandboxes == 1


@pytest.mark.django_db
def test_host_list_shows_every_host() -> None:
    online, client = enrolled("a-online")
    heartbeat(client, boot(online))
    enrolled("b-new")
    enrolled("c-revoked")
    host_revoke("c-revoked")
    out = io.StringIO()
    call_command("host_list", stdout=out)
    lines = [line.split("\t")[:3] for line in out.getvalue().splitlines()]
    assert lines == [
        ["a-online", "online", "0/4"],
        ["b-new", "new", "0/0"],
        ["c-revoked", "revoked", "0/0"],
    ]


@pytest.mark.parametrize("hours", ["0", "-1", "1e9"])
def test_silly_lifetime_is_refused(hours: str) -> None:
    with pytest.raises(CommandError, match="--hours"):
        call_command("host_enrolment_token", "--hours", hours)
