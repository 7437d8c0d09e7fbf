"""`access` with port 22, and its end (docs/howto/ssh.md)."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from django.test import Client

from accounts import hooks
from accounts.models import User
from hosts.models import Host as HostRow
from jobs.services import job_open_ssh
from ssh.keys import public_text
from ssh.models import Door
from tests.gateways.asking import Gateway
from tests.jobs import factories, held
from tests.jobs.factories import API
from tests.ssh.opening import Host, access, attended, listen, revoke

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def public(private: str) -> str:
    return public_text(load_ssh_private_key(private.encode(), None))  # type: ignore[arg-type]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to wait for an answer that does not come."""
    monkeypatch.setattr("jobs.api.access.WAIT_S", 0.05)
    monkeypatch.setattr("jobs.api.access.REVOKE_S", 0.05)


def test_it_answers_the_key_that_the_sandbox_lets_in(
    client: Client, owner: User, host: Host, gateway: Gateway
) -> None:
    job = held.idle(host.agent, owner)
    with attended(host, gateway):
        status, answer = access(client, job.pk)
    assert (status, answer["success"], answer["ssh_host"], answer["ssh_user"]) == (
        200, True, "mags.example", "root",
    )  # fmt: skip
    [line] = host.authorized(held.box(job))
    assert line == f"{public(answer['ssh_private_key'])} u{owner.pk}"
    assert public(host.keys[held.box(job).pk]["host_key"]) == answer["ssh_host_key"]
    assert answer["known_hosts"] == f"[mags.example]:{answer['ssh_port']} {answer['ssh_host_key']}"
    assert list(listen(gateway)) == [str(answer["ssh_port"])]
    shown = client.get(f"{API}/mags-jobs/{job.pk}").json()["ssh"]
    assert shown == f"ssh://root@mags.example:{answer['ssh_port']}"
    assert [found["ssh"] for found in client.get(f"{API}/mags-jobs").json()["jobs"]] == [shown]


def test_it_stays_the_same_in_the_next_sandbox(
    client: Client, owner: User, host: Host, gateway: Gateway
) -> None:
    job = held.idle(host.agent, owner)
    with attended(host, gateway):
        first = access(client, job.pk)[1]
        held.end(host.agent, held.box(job), "stopped")
        later = held.idle(host.agent, owner)
        second = access(client, "w")[1]
    for same in ("ssh_port", "ssh_host_key", "known_hosts"):
        assert first[same] == second[same]
    assert public(first["ssh_private_key"]) == public(second["ssh_private_key"])
    assert held.box(later).pk != held.box(job).pk


@pytest.mark.usefixtures("quick")
def test_a_host_that_has_not_answered_is_said(
    client: Client, owner: User, host: Host, gateway: Gateway
) -> None:
    job = held.idle(host.agent, owner)
    status, answer = access(client, job.pk)
    assert (status, answer["code"], answer["retryable"]) == (503, "ssh_not_open", True)
    assert "its host" in answer["error"]
    assert "no gateway" in answer["error"]
    listen(gateway)
    assert "no gateway" not in access(client, job.pk)[1]["error"]
    host.obey()
    assert access(client, job.pk)[0] == 200


@pytest.mark.usefixtures("quick")
def test_a_host_that_gateways_cannot_reach_is_said(
    client: Client, owner: User, host: Host, gateway: Gateway
) -> None:
    job = held.idle(host.agent, owner)
    access(client, job.pk)
    host.obey()
    listen(gateway)
    HostRow.objects.update(data_address=None, data_port=None)
    status, answer = access(client, job.pk)
    assert (status, answer["error"]) == (503, "SSH is not open yet: gateways cannot reach its host.")


@pytest.mark.usefixtures("quick")
def test_a_revoked_key_is_taken_from_the_sandbox(
    client: Client, owner: User, host: Host, gateway: Gateway
) -> None:
    job = held.idle(host.agent, owner)
    access(client, job.pk)
    listen(gateway)
    host.obey()
    first = access(client, job.pk)[1]
    assert revoke(client, job.pk) == (200, {"success": True, "in_force": False})
    host.obey()
    assert host.authorized(held.box(job)) == []
    assert (revoke(client, job.pk)[0], revoke(client, job.pk)[1]["code"]) == (404, "no_ssh_key")
    access(client, job.pk)
    host.obey()
    second = access(client, job.pk)[1]
    assert public(first["ssh_private_key"]) != public(second["ssh_private_key"])
    assert second["known_hosts"] == first["known_hosts"]


def test_a_revocation_waits_for_the_host(client: Client, owner: User, host: Host, gateway: Gateway) -> None:
    job = held.idle(host.agent, owner)
    with attended(host, gateway):
        access(client, job.pk)
        assert revoke(client, job.pk) == (200, {"success": True, "in_force": True})


@pytest.mark.usefixtures("quick")
def test_a_strangers_sandbox_is_not_there(owner: User, host: Host) -> None:
    job = held.idle(host.agent, owner)
    stranger = factories.client_of(factories.user())
    assert access(stranger, job.pk)[0] == revoke(stranger, job.pk)[0] == 404
    assert not Door.objects.exists()


@pytest.mark.usefixtures("quick")
def test_who_may_not_sign_in_has_no_key(client: Client, owner: User, host: Host, gateway: Gateway) -> None:
    job = held.idle(host.agent, owner)
    access(client, job.pk)
    host.obey()
    assert len(host.authorized(held.box(job))) == len(listen(gateway)) == 1
    admin = Client()
    admin.force_login(User.objects.create(email="admin@example.org", is_staff=True, is_superuser=True))
    change = f"/admin/accounts/user/{owner.pk}/change/"
    assert admin.post(change, {"email": owner.email, "name": ""}).status_code == 302
    assert not User.objects.get(pk=owner.pk).is_active
    assert listen(gateway) == {}
    host.obey()
    assert host.authorized(held.box(job)) == []


def test_who_may_not_sign_in_has_no_key_to_what_comes_up(client: Client, owner: User, host: Host) -> None:
    job = held.idle(host.agent, owner)
    job_open_ssh(job, owner)
    held.end(host.agent, held.box(job), "stopped")
    next_one = held.job(owner, kept=True)
    host.obey()
    assert len(host.authorized(held.box(next_one))) == 1
    owner.is_active = False
    owner.save()
    hooks.changed(owner)
    host.obey()
    assert host.authorized(held.box(next_one)) == []


def test_a_sandbox_that_lives_with_its_script(client: Client, owner: User) -> None:
    status, answer = access(client, factories.job(owner).pk)
    assert (status, answer["code"]) == (409, "cannot_wake")
    assert not Door.objects.exists()


@pytest.mark.usefixtures("quick")
def test_when_ports_have_run_out_it_says_what_to_do(
    client: Client, owner: User, host: Host, settings: Any
) -> None:
    settings.SSH_PORTS = range(22_000, 22_001)
    jobs = [held.idle(host.agent, owner, name) for name in ("a", "b")]
    assert access(client, jobs[0].pk)[1]["code"] == "ssh_not_open"
    status, answer = access(client, jobs[1].pk)
    assert (status, answer["code"], "MAGS_SSH_PORTS" in answer["remediation"]) == (503, "no_ssh_port", True)


def test_without_a_secret_hosts_are_told_of_no_keys(
    client: Client, owner: User, host: Host, settings: Any
) -> None:
    settings.SSH_SECRET = ""
    job = held.idle(host.agent, owner)
    status, answer = access(client, job.pk)
    assert (status, answer["code"]) == (503, "no_ssh_secret")
    assert "MAGS_SSH_SECRET" in answer["remediation"]
    host.obey()
    assert not Door.objects.exists()
