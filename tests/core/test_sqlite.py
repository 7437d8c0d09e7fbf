"""The queue for write transactions: everybody who leaves it lets the next one in."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import F

from core.sqlite.base import turn
from hosts.models import Host

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite only"),
]


class _Undo(Exception):
    pass


def test_a_transaction_has_the_turn_until_its_end() -> None:
    with transaction.atomic():
        assert turn.locked()
        with transaction.atomic():
            pass
        assert turn.locked()
    assert not turn.locked()


def test_what_runs_on_commit_is_outside_of_it() -> None:
    seen = []
    with transaction.atomic():
        transaction.on_commit(lambda: seen.append(turn.locked()))
    assert seen == [False]


def test_a_rollback_gives_it_back() -> None:
    with pytest.raises(_Undo), transaction.atomic():
        raise _Undo
    assert not turn.locked()


def test_a_connection_that_closes_in_a_transaction_gives_it_back() -> None:
    def lose_the_connection() -> None:
        with transaction.atomic():
            connection.close()
            Host.objects.count()

    with pytest.raises(DatabaseError):
        lose_the_connection()
    assert not turn.locked()


def test_another_process_that_writes_is_waited_for_and_the_turn_comes_back() -> None:
    Host.objects.count()  # connects
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout=0")
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(DatabaseError, match="locked"), transaction.atomic():
            pass
        assert not turn.locked()
    finally:
        other.close()
        connection.close()
    with transaction.atomic():
        assert turn.locked()


def test_threads_take_turns() -> None:
    host = Host.objects.create(name="h", key_digest="d")
    together = threading.Barrier(8)

    def count_up(_: int) -> None:
        together.wait()
        for _ in range(20):
            with transaction.atomic():
                seen = Host.objects.get(pk=host.pk).revision
                Host.objects.filter(pk=host.pk, revision=seen).update(revision=F("revision") + 1)
        connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count_up, range(8)))
    host.refresh_from_db()
    assert host.revision == 160
