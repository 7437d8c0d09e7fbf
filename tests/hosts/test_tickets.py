"""Keys that tickets are signed with, and how hosts learn of them."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from hostagent import ticketkeys
from hostagent.dataport import tickets
from hosts.errors import NoTicketKey
from hosts.tickets import ticket_keys, ticket_sign
from tests.jobs.factories import Agent

OLD, NEW = "A" * 43, "B" * 42 + "A"
HOST = uuid.uuid4()


def test_a_key_takes_the_place_of_another_without_a_ticket_refused(settings: Any, tmp_path: Path) -> None:
    """Hosts know the next key before it signs, and the former one as long as its tickets live."""
    steps = [(OLD, ""), (OLD, NEW), (NEW, OLD)]
    issued: list[str] = []
    ticketkeys.learn(tmp_path, {})
    for number, (settings.TICKET_KEY, settings.TICKET_KEY_OTHER) in enumerate(steps):
        issued.append(ticket_sign(HOST, "k3v9x0a1b2c3d4e5", 1, 80).text)
        if number == 0:
            ticketkeys.learn(tmp_path, ticket_keys())
        for text in issued:  # before the host has heard of this step
            assert tickets.check(text, tickets.TicketKeys(tmp_path), str(HOST)).port == 80
        ticketkeys.learn(tmp_path, ticket_keys())
    settings.TICKET_KEY_OTHER = ""
    ticketkeys.learn(tmp_path, ticket_keys())
    with pytest.raises(tickets.Refused):
        tickets.check(issued[0], tickets.TicketKeys(tmp_path), str(HOST))
    assert tickets.check(issued[-1], tickets.TicketKeys(tmp_path), str(HOST)).port == 80


def test_without_a_key_nothing_is_signed(settings: Any) -> None:
    settings.TICKET_KEY = ""
    assert ticket_keys() == {}
    with pytest.raises(NoTicketKey):
        ticket_sign(HOST, "k3v9x0a1b2c3d4e5", 1, 80)


@pytest.mark.parametrize("key", ["short", "x" * 44, "ü" * 43])
def test_a_malformed_key_is_said_to_be_one(settings: Any, key: str) -> None:
    settings.TICKET_KEY = key
    with pytest.raises(ImproperlyConfigured, match="MAGS_TICKET_KEY"):
        ticket_keys()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis")
class TestHost:
    def test_it_learns_the_keys_at_its_boot_and_with_each_heartbeat(self, settings: Any) -> None:
        settings.TICKET_KEY = OLD
        agent = Agent(boot=False)
        assert agent.boot()["ticket_keys"] == ticket_keys()
        settings.TICKET_KEY_OTHER = NEW
        body = {"boot_epoch": 1, "capacity": agent.capacity, "running": 0, "draining": False, "load": 0.0}
        answer = agent.call("post", "/heartbeat", body)[1]
        assert (answer["ticket_keys"], len(answer["ticket_keys"])) == (ticket_keys(), 2)

    def test_its_data_port_is_what_its_last_boot_said(self) -> None:
        agent = Agent(data_port={"address": "fd00::5", "port": 8470})
        agent.host.refresh_from_db()
        assert (agent.host.data_address, agent.host.data_port) == ("fd00::5", 8470)
        agent.data_port = None
        agent.boot()
        agent.host.refresh_from_db()
        assert (agent.host.data_address, agent.host.data_port) == (None, None)

    @pytest.mark.parametrize("address", ["", "localhost", "10.0.0.5:1", "fe80::1%eth0", "1.2.3"])
    def test_an_address_that_is_none_is_refused(self, address: str) -> None:
        agent = Agent(boot=False)
        body = agent.boot_body() | {"data_port": {"address": address, "port": 8470}}
        assert agent.call("post", "/boot", body)[0] == 400
