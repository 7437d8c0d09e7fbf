"""The pages of hosts and health, for staff."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from dashboard import figures
from hosts.models import EnrolmentToken, Host, HostEvent
from hosts.services import host_enrol, host_offline
from tests.accounts.factories import user
from tests.jobs import factories, held
from tests.jobs.factories import Agent
from tests.servers import RedisServer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(user(is_staff=True))
    return client


def text_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return str(answer.content.decode())


def kinds(agent: Agent) -> list[str]:
    return list(HostEvent.objects.filter(host=agent.host).order_by("pk").values_list("kind", flat=True))


def test_without_a_host_the_page_says_how_to_get_one(staff: Client) -> None:
    page = text_of(staff, "/hosts/")
    assert "No host runs sandboxes yet" in page
    assert "hostagent doctor" in page


def test_a_token_is_shown_once_and_lets_one_machine_join(staff: Client) -> None:
    page = staff.post("/hosts/").content.decode()
    token = page.split("--token ")[1].split()[0].removesuffix("</code></pre>")
    assert token not in text_of(staff, "/hosts/")
    assert EnrolmentToken.objects.count() == 1
    host, _ = host_enrol(token, "new-machine", "1")
    page = text_of(staff, f"/hosts/{host.pk}/")
    assert "Not started yet" in page
    assert "Joined with a one-time token" in page


def test_the_list_says_how_full_each_host_is(staff: Client) -> None:
    agent = Agent(sandboxes=4, memory_mb=8192, vcpus=4)
    owner = factories.user()
    factories.job(owner, name="alone", vcpus=2, memory_mb=1024)
    held.idle(agent, owner, vcpus=1, memory_mb=512)
    page = text_of(staff, "/hosts/")
    assert agent.host.name in page
    for figure in ("2 / 4", "3 / 4", "1.5 / 8.0 GB"):
        assert figure in page
    page = text_of(staff, f"/hosts/{agent.host.pk}/")
    assert "alone" in page
    assert "Idle" in page
    assert page.count(owner.email) == 4  # of two rows, each with a title
    assert "Its agent started" in page


def test_drain_and_back(staff: Client) -> None:
    agent = Agent()
    path = f"/hosts/{agent.host.pk}/"
    answer = staff.post(path, {"action": "drain"})
    assert answer["Location"] == f"{path}?done=drained#main"
    assert "Draining" in text_of(staff, f"{path}?done=drained")
    assert "gets nothing new" in text_of(staff, f"{path}?done=drained")
    staff.post(path, {"action": "drain"})  # again: nothing happens twice
    staff.post(path, {"action": "undrain"})
    assert "It takes work." in text_of(staff, path)
    assert kinds(agent) == ["booted", "drained", "undrained"]


def test_revoking_says_what_is_lost_and_who_did_it(staff: Client) -> None:
    agent = Agent()
    factories.job(factories.user())
    path = f"/hosts/{agent.host.pk}/"
    assert "What runs there now (1 script," in text_of(staff, path)
    staff.post(path, {"action": "revoke"})
    page = text_of(staff, path)
    assert "Its key is refused for good." in page
    assert "Revoke…" not in page
    assert HostEvent.objects.get(kind="revoked").by in page
    assert staff.post(path, {"action": "revoke"}).status_code == 404
    assert staff.post(path, {"action": "explode"}).status_code == 400


def test_lost_and_heard_of_again() -> None:
    agent = Agent()
    Host.objects.update(last_seen_at="2020-01-01T00:00Z")
    assert host_offline(agent.host.pk, silent_since=figures.now())
    assert Host.objects.get().state == "lost"
    body = {"boot_epoch": agent.boot_epoch, "capacity": agent.capacity, "draining": False}
    for _ in range(2):
        assert agent.call("post", "/heartbeat", body)[0] == 200
    assert kinds(agent) == ["booted", "lost", "back"]


def test_the_list_costs_the_same_for_many_hosts(staff: Client, django_assert_num_queries: Any) -> None:
    for _ in range(10):
        Agent()
    with django_assert_num_queries(4):  # session, user, count, hosts with their load
        staff.get("/hosts/")


class TestHealth:
    def test_an_empty_installation_is_told_what_it_lacks(self, staff: Client) -> None:
        page = text_of(staff, "/hosts/health/")
        assert "Something is broken" in page
        assert "Nothing can start." in page
        assert "They have never run." in page
        assert "No object store is set up" in page

    def test_who_waits_and_what_failed(self, staff: Client) -> None:
        factories.job(name="waits")
        agent = Agent()
        failed = factories.job(factories.user())
        lease = factories.lease_of(failed)
        end = factories.finished(lease, 0, outcome="start_failed", exit_code=None, message="no")
        agent.report(factories.started(lease), end)
        page = text_of(staff, "/hosts/health/")
        assert "1 start_failed" in page
        assert "Everything that is held is held by somebody." in page
        Host.objects.update(revoked_at=figures.now())
        factories.job(factories.user())
        assert "1 job waits for a host" in text_of(staff, "/hosts/health/")

    def test_redis_away_is_said(
        self, staff: Client, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("core.redis._pause_until", float("inf"))  # as after a failure
        page = text_of(staff, "/hosts/health/")
        assert "All goes on, more slowly." in page


class TestMetrics:
    def test_from_this_machine_and_not_through_a_proxy(self, client: Client) -> None:
        assert client.get("/metrics").status_code == 200
        assert client.get("/metrics", REMOTE_ADDR="192.0.2.1").status_code == 404
        assert client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 404

    def test_with_a_token_from_anywhere(self, client: Client, settings: Any) -> None:
        settings.METRICS_TOKEN = "s3cret"
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"Authorization": "Bearer nö"}).status_code == 401
        answer = client.get("/metrics", headers={"Authorization": "Bearer s3cret"}, REMOTE_ADDR="192.0.2.1")
        assert answer.status_code == 200

    def test_what_is_counted(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(figures, "SLOW_S", 0.0)  # an earlier test's are not kept
        agent = Agent()
        agent.run(factories.job(name='"}hostile'))
        factories.job(name="runs")
        held.idle(agent, factories.user())
        text = client.get("/metrics").content.decode()
        for line in (
            'mags_jobs{status="completed"} 2.0', 'mags_jobs{status="accepted"} 1.0', "mags_queue_jobs 0.0",
            'mags_hosts{state="online"} 1.0', 'mags_sandboxes{state="running"} 1.0',
            'mags_room_used{what="sandboxes"} 2.0', "mags_orphans 0.0",
        ):  # fmt: skip
            assert line in text
        assert "hostile" not in text
        assert "mags_build_info{version=" in text
