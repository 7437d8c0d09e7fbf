"""Queries that are compiled once: the same rows as Django's own, for each value they are run with."""

from __future__ import annotations

import uuid

import pytest
from django.db.models import DateTimeField, F, IntegerField
from django.utils import timezone

from accounts.models import User
from accounts.services import token_authenticate
from core.prepared import Param, Prepared, PreparedUpdate, part_of
from hosts.models import Host
from tests.accounts import factories

pytestmark = pytest.mark.django_db


def host(name: str, **fields: object) -> Host:
    return Host.objects.create(name=name, key_digest=name, **fields)


def test_values_are_those_of_each_run() -> None:
    by_id = Prepared(lambda: Host.objects.filter(pk=Param("host_id", Host._meta.pk)))
    one, two = host("one"), host("two")
    assert [by_id.first(host_id=each.pk) for each in (one, two)] == [one, two]
    assert by_id.first(host_id=uuid.uuid4()) is None
    found = by_id.first(host_id=one.pk)
    assert found is not None
    fields = [field.attname for field in Host._meta.concrete_fields]
    stored = Host.objects.get(pk=one.pk)
    assert [getattr(found, name) for name in fields] == [getattr(stored, name) for name in fields]


def test_a_value_is_never_sql() -> None:
    by_name = Prepared(lambda: Host.objects.filter(name=Param("name")))
    odd = "x' OR '1'='1' -- %s"
    host("other")
    assert by_name.first(name=odd) is None
    host(odd)
    assert [found.name for found in by_name.all(name=odd)] == [odd]


def test_an_update_says_how_many_rows_it_changed() -> None:
    take = PreparedUpdate(
        lambda: Host.objects.filter(
            pk=Param("host_id", Host._meta.pk), used_memory_mb__lte=100 - Param("mb", IntegerField())
        ),
        used_memory_mb=F("used_memory_mb") + Param("mb", IntegerField()),
        last_seen_at=Param("now", DateTimeField()),
    )
    one, two, now = host("one"), host("two"), timezone.now()
    assert [take(host_id=one.pk, mb=60, now=now) for _ in range(2)] == [1, 0]
    assert take(host_id=one.pk, mb=40, now=now) == 1
    one.refresh_from_db()
    two.refresh_from_db()
    assert (one.used_memory_mb, one.last_seen_at) == (100, now)
    assert (two.used_memory_mb, two.last_seen_at) == (0, None)


@pytest.mark.parametrize("is_active", [True, False])
def test_a_part_has_each_column_in_its_place_and_reads_the_rest(is_active: bool) -> None:
    owner = factories.user(is_active=is_active, name="somebody")
    token, _ = factories.token_of(owner)
    columns = {"email": owner.email, "name": owner.name, "is_active": is_active, "is_staff": not is_active}
    part = part_of(User, id=token.owner_id, **columns)
    assert (part.is_active, part.is_staff, part.email, part.name) == (
        is_active, not is_active, owner.email, "somebody",
    )  # fmt: skip
    assert part == owner
    assert part.password == owner.password


def test_the_owner_of_a_token_is_read_with_it() -> None:
    token, text = factories.token_of(factories.user(is_staff=True))
    owner, stored = token_authenticate(text).owner, User.objects.get(pk=token.owner_id)
    for name in ("pk", "email", "name", "is_active", "is_staff", "is_superuser", "created_at"):
        assert getattr(owner, name) == getattr(stored, name)
