"""The guarded writes that the scheduler stands on, also when many threads use them at once."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from hosts.errors import BadHostKey, StaleBoot
from hosts.models import Host
from hosts.selectors import hosts_candidates, hosts_silent
from hosts.services import (
    Capacity,
    host_boot,
    host_give_room,
    host_offline,
    host_require_boot,
    host_revision_next,
    host_take_room,
    host_touch,
)


def host(name: str = "h", **fields: Any) -> Host:
    values = {
        "is_online": True,
        "boot_epoch": 1,
        "last_seen_at": timezone.now(),
        "capacity_sandboxes": 4,
        "capacity_memory_mb": 4096,
        **fields,
    }
    return Host.objects.create(name=name, key_digest=uuid.uuid4().hex * 2, **values)


def in_threads(count: int, work: Callable[[], Any]) -> list[Any]:
    results: list[Any] = []
    barrier = threading.Barrier(count)

    def run() -> None:
        barrier.wait(10)
        try:
            results.append(work())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == count
    return results


@pytest.mark.django_db
def test_room_is_taken_until_it_is_full_and_given_back() -> None:
    box = host(capacity_sandboxes=2)
    assert host_take_room(box.pk, 1000)
    assert host_take_room(box.pk, 1000)
    assert not host_take_room(box.pk, 1000)
    host_give_room(box.pk, 1000)
    assert host_take_room(box.pk, 1000)
    box.refresh_from_db()
    assert (box.used_sandboxes, box.used_memory_mb) == (2, 2000)


@pytest.mark.django_db
def test_memory_is_room_too() -> None:
    box = host(capacity_memory_mb=1500)
    assert host_take_room(box.pk, 1000)
    assert not host_take_room(box.pk, 501)
    assert host_take_room(box.pk, 500)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fields",
    [
        {"is_online": False},
        {"is_draining": True},
        {"is_agent_draining": True},
        {"revoked_at": timezone.now()},
        {"capacity_sandboxes": 0},
    ],
)
def test_no_room_on_a_host_that_takes_no_work(fields: dict[str, Any]) -> None:
    box = host(**fields)
    assert not host_take_room(box.pk, 1)
    assert not hosts_candidates(1).exists()


@pytest.mark.django_db
def test_giving_back_more_than_was_taken_does_nothing() -> None:
    box = host()
    host_give_room(box.pk, 1)
    box.refresh_from_db()
    assert (box.used_sandboxes, box.used_memory_mb) == (0, 0)


@pytest.mark.django_db
def test_least_loaded_comes_first() -> None:
    host("half", capacity_sandboxes=4, used_sandboxes=2)
    host("full", capacity_sandboxes=2, used_sandboxes=2)
    host("third", capacity_sandboxes=9, used_sandboxes=3)
    host("small", capacity_memory_mb=10)
    assert [found.name for found in hosts_candidates(100)] == ["third", "half"]


@pytest.mark.django_db(transaction=True)
def test_many_at_once_never_take_more_than_there_is() -> None:
    box = host(capacity_sandboxes=5)
    taken = in_threads(12, lambda: host_take_room(box.pk, 100))
    assert sum(taken) == 5
    box.refresh_from_db()
    assert (box.used_sandboxes, box.used_memory_mb) == (5, 500)


@pytest.mark.django_db(transaction=True)
def test_revisions_are_never_given_twice() -> None:
    box = host()

    def take() -> int:
        with transaction.atomic():
            return host_revision_next(box.pk)

    assert sorted(in_threads(10, take)) == list(range(1, 11))


@pytest.mark.django_db(transaction=True)
def test_every_boot_gets_its_own_epoch() -> None:
    box = host()

    def boot() -> int:
        made = host_boot(
            box.pk, machine_boot_id="m", agent_version="1", isolation="container", capacity=Capacity(1, 1, 1)
        )
        return made.epoch

    assert sorted(in_threads(6, boot)) == [2, 3, 4, 5, 6, 7]


@pytest.mark.django_db
def test_boot_notices_a_reboot_of_the_machine() -> None:
    box = host(boot_epoch=0, is_agent_draining=True, is_online=False)

    def boot(machine: str) -> bool:
        made = host_boot(
            box.pk,
            machine_boot_id=machine,
            agent_version="1",
            isolation="container",
            capacity=Capacity(3, 2, 1),
        )
        return made.is_machine_rebooted

    assert [boot("m1"), boot("m1"), boot("m2")] == [False, False, True]
    box.refresh_from_db()
    assert box.is_online
    assert not box.is_agent_draining
    assert (box.boot_epoch, box.capacity_sandboxes) == (3, 3)


@pytest.mark.django_db
def test_revoked_host_does_not_boot() -> None:
    box = host(revoked_at=timezone.now())
    with pytest.raises(BadHostKey):
        host_boot(
            box.pk, machine_boot_id="m", agent_version="1", isolation="container", capacity=Capacity(1, 1, 1)
        )


@pytest.mark.django_db
def test_silent_host_is_given_up_unless_it_speaks_meanwhile() -> None:
    long_ago = timezone.now() - timedelta(minutes=5)
    since = timezone.now() - timedelta(minutes=1)
    silent, speaks = host("silent", last_seen_at=long_ago), host("speaks", last_seen_at=long_ago)
    assert {found.name for found in hosts_silent(since)} == {"silent", "speaks"}
    host_touch(speaks.pk, 1)
    assert host_offline(silent.pk, silent_since=since)
    assert not host_offline(silent.pk, silent_since=since)
    assert not host_offline(speaks.pk, silent_since=since)


@pytest.mark.django_db
def test_touch_and_require_refuse_an_older_life() -> None:
    box = host(boot_epoch=3)
    host_touch(box.pk, 3)
    host_require_boot(box, 3)
    for epoch in (2, 4):
        with pytest.raises(StaleBoot):
            host_touch(box.pk, epoch)
        with pytest.raises(StaleBoot):
            host_require_boot(box, epoch)
