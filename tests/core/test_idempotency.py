"""A creating call that is sent twice creates once."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from accounts.models import ApiToken, User
from core import tasks
from core.errors import Invalid
from core.idempotency import IdempotencyKeyReused, digest_of, idempotent, key_of
from core.models import IdempotencyRecord
from tests.accounts import factories


def create_for(owner: User) -> Any:
    def create() -> tuple[int, dict[str, Any]]:
        token, _ = factories.token_of(owner)
        return 201, {"id": token.pk}

    return create


def made_for(owner: User) -> int:
    return ApiToken.objects.filter(owner=owner).count()


@pytest.mark.django_db
def test_repetition_gets_the_first_answer() -> None:
    owner = factories.user()
    first = idempotent(owner, "k", "d", create_for(owner))
    assert first[0] == 201
    assert idempotent(owner, "k", "d", create_for(owner)) == first
    assert made_for(owner) == 1


@pytest.mark.django_db
def test_same_key_with_another_body_is_a_conflict() -> None:
    owner = factories.user()
    idempotent(owner, "k", "d", create_for(owner))
    with pytest.raises(IdempotencyKeyReused) as caught:
        idempotent(owner, "k", "other", create_for(owner))
    assert (caught.value.status, caught.value.code) == (409, "idempotency_key_reused")
    assert made_for(owner) == 1


@pytest.mark.django_db
def test_keys_belong_to_their_owner() -> None:
    owner, stranger = factories.user(), factories.user()
    mine = idempotent(owner, "k", "d", create_for(owner))
    assert idempotent(stranger, "k", "other", create_for(stranger)) != mine
    assert made_for(stranger) == 1


@pytest.mark.django_db
def test_no_key_remembers_nothing() -> None:
    owner = factories.user()
    for _ in range(2):
        idempotent(owner, "", "d", create_for(owner))
    assert made_for(owner) == 2
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.django_db
def test_failure_undoes_everything_and_may_be_repeated() -> None:
    owner = factories.user()

    def fails() -> tuple[int, dict[str, Any]]:
        create_for(owner)()
        raise Invalid("no")

    with pytest.raises(Invalid):
        idempotent(owner, "k", "d", fails)
    assert made_for(owner) == 0
    assert idempotent(owner, "k", "d", create_for(owner))[0] == 201


@pytest.mark.django_db
def test_old_keys_are_forgotten() -> None:
    owner = factories.user()
    first = idempotent(owner, "k", "d", create_for(owner))
    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert idempotent(owner, "k", "other", create_for(owner)) != first
    idempotent(owner, "young", "d", create_for(owner))
    IdempotencyRecord.objects.filter(key="k").update(created_at=timezone.now() - timedelta(hours=25))
    assert tasks.forget_old_answers() == 1
    assert [record.key for record in IdempotencyRecord.objects.all()] == ["young"]


@pytest.mark.django_db(transaction=True)
def test_duplicates_at_the_same_time_end_with_one_creation() -> None:
    owner = factories.user()
    answers: list[Any] = []
    barrier = threading.Barrier(8)

    def send() -> None:
        barrier.wait(10)
        try:
            answers.append(idempotent(owner, "k", "d", create_for(owner)))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 8
    assert len({answer[1]["id"] for answer in answers}) == 1
    assert made_for(owner) == 1


def test_key_of_a_request() -> None:
    assert key_of({}) == ""
    assert key_of({"Idempotency-Key": "a" * 255}) == "a" * 255
    for bad in ("a" * 256, "a\x00b", "a\nb"):
        with pytest.raises(Invalid):
            key_of({"Idempotency-Key": bad})


def test_digest_tells_requests_apart_but_not_the_order_of_fields() -> None:
    first = digest_of("POST", "/a", {"x": 1, "y": {"b": 1, "c": 2}})
    assert first == digest_of("POST", "/a", {"y": {"c": 2, "b": 1}, "x": 1})
    others = [("PUT", "/a", {"x": 1}), ("POST", "/b", {"x": 1}), ("POST", "/a", {"x": "1"})]
    assert len({first, *(digest_of(*other) for other in others)}) == 4
