"""`POST /mags-jobs`: what is taken, what is refused by name, and what a repetition gets."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from jobs.models import Job
from tests.images.factories import published
from tests.jobs import factories
from tests.jobs.factories import Agent, client_of, submit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def test_submit_answers_202_and_creates_the_job(client: Client, owner: Any) -> None:
    status, body = submit(client, script=" echo hi\n", name="build", environment={"A": ""}, memory_mb=64)
    assert status == 202
    assert body == {
        "request_id": body["request_id"],
        "status": "accepted",
        "message": "Accepted. No host is online. The job starts as soon as one is.",
    }
    job = Job.objects.get(pk=body["request_id"])
    assert (job.owner_id, job.script, job.name, job.environment) == (
        owner.pk,
        " echo hi\n",
        "build",
        {"A": ""},
    )
    assert (job.memory_mb, job.vcpus, job.disk_gb, job.retries, job.timeout_s) == (64, 2, 2, 0, None)
    assert (job.reason, job.token is not None) == ("no_host", True)


def test_api_v2_is_the_same(client: Client) -> None:
    _, body = submit(client)
    assert client.get(f"/api/v2/mags-jobs/{body['request_id']}").json()["id"] == body["request_id"]


def test_what_published_clients_send_besides_is_accepted(client: Client) -> None:
    body: dict[str, Any] = {
        "script": "true", "type": "inline", "persistent": False, "no_sleep": False, "no_sync": True,
        "file_ids": [], "workspace_id": "", "base_workspace_id": None, "startup_command": "", "url": False,
        "environment": None,
        "rootfs_type": None, "name": None, "something": {"else": 1}, "port": 8080,
    }  # fmt: skip
    assert submit(client, **body)[0] == 202


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"script": ""}, "script"),
        ({"script": " \n\t"}, "script"),
        ({"script": None}, "script"),
        ({"script": 5}, "script"),
        ({"script": ["echo"]}, "script"),
        ({"script": {"a": 1}}, "script"),
        ({"script": True}, "script"),
        ({"script": "a\ud800"}, ""),
        ({"type": "file"}, "type"),
        ({"type": {"a": 1}}, "type"),
        ({"file_ids": "x"}, "file_ids"),
        ({"name": "-x"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"name": "a" * 64}, "name"),
        ({"name": 7}, "name"),
        ({"environment": []}, "environment"),
        ({"environment": {"A": 1}}, "environment.A"),
        ({"environment": {"A": None}}, "environment.A"),
        ({"environment": {"A=B": "x"}}, "environment"),
        ({"environment": {"": "x"}}, "environment"),
        ({"environment": {"1A": "x"}}, "environment"),
        ({"environment": {"A\n": "x"}}, "environment"),
        ({"environment": {"A": "x" * 131072}}, "environment"),
        ({"environment": {f"A{i}": "x" * 100_000 for i in range(6)}}, "environment"),
        ({"environment": {f"A{i}": "x" for i in range(501)}}, "environment"),
        ({"environment": {"__MAGS_MEM_GB": "much"}}, "environment.__MAGS_MEM_GB"),
        ({"environment": {"__MAGS_MEM_GB": "99999"}}, "environment.__MAGS_MEM_GB"),
        ({"vcpus": 0}, "vcpus"),
        ({"vcpus": 257}, "vcpus"),
        ({"vcpus": True}, "vcpus"),
        ({"memory_mb": 15}, "memory_mb"),
        ({"memory_mb": 2**40}, "memory_mb"),
        ({"memory_mb": "lots"}, "memory_mb"),
        ({"disk_gb": 0}, "disk_gb"),
        ({"disk_gb": 1001}, "disk_gb"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": 10**9}, "timeout"),
        ({"timeout": float("1e400")}, ""),
        ({"retries": -1}, "retries"),
        ({"retries": 11}, "retries"),
        ({"rootfs_type": "../x"}, "rootfs_type"),
        ({"rootfs_type": "unheard-of"}, "rootfs_type"),
        ({"persistent": "perhaps"}, "persistent"),
    ],
)
def test_a_bad_field_is_named_and_nothing_is_created(
    client: Client, change: dict[str, Any], field: str
) -> None:
    status, body = submit(client, **change)
    assert (status, body["retryable"]) == (400, False), body
    assert isinstance(body["error"], str)
    if field:
        assert list(body["fields"]) == [field]
        assert body["fields"][field]
    assert not Job.objects.exists()


def test_a_nul_in_the_script_is_400(client: Client) -> None:
    for change in (
        {"script": "a\0b"},
        {"environment": {"A": "\0"}},
        {"environment": {"A\0": ""}},
        {"name": "\0"},
    ):
        status, body = submit(client, **change)
        assert (status, isinstance(body["error"], str)) == (400, True)
    assert not Job.objects.exists()


def test_the_script_limit_is_in_bytes(client: Client, settings: Any) -> None:
    settings.SCRIPT_LIMIT_BYTES = 8
    assert submit(client, script="é" * 4)[0] == 202
    status, body = submit(client, script="é" * 4 + "x")
    assert (status, body["code"], list(body["fields"])) == (413, "script_too_large", ["script"])
    assert Job.objects.count() == 1


def test_no_sleep_needs_persistent(client: Client) -> None:
    assert submit(client, no_sleep=True)[1]["code"] == "not_persistent"


def test_aliases_in_the_environment_become_fields(client: Client) -> None:
    published("other")
    published("mine")
    environment = {
        "__MAGS_MEM_GB": "0.5", "__MAGS_IDLE_MIN": "5", "__MAGS_KEEP_ALIVE": "1",
        "__MAGS_ROOTFS_TYPE": "other", "__MAGS_NEW": "", "MINE": "1",
    }  # fmt: skip
    _, body = submit(client, environment=environment)
    job = Job.objects.get(pk=body["request_id"])
    assert (job.memory_mb, job.image, job.environment) == (512, "other", {"MINE": "1"})
    fields = {"memory_mb": 64, "rootfs_type": "mine"}
    _, body = submit(client, environment=environment, **fields)
    job = Job.objects.get(pk=body["request_id"])
    assert (job.memory_mb, job.image) == (64, "mine")


def test_more_than_the_largest_host_has_is_refused(client: Client) -> None:
    Agent(memory_mb=2048, vcpus=2)
    status, body = submit(client, memory_mb=4096, vcpus=2)
    assert (status, body["code"]) == (400, "never_fits")
    assert body["fields"] == {"memory_mb": "At most 2048: the largest host has no more."}
    assert list(submit(client, vcpus=3)[1]["fields"]) == ["vcpus"]
    assert not Job.objects.exists()


def test_defaults_shrink_to_the_largest_host(client: Client) -> None:
    Agent(memory_mb=512, vcpus=1)
    _, body = submit(client)
    job = Job.objects.get(pk=body["request_id"])
    assert (job.vcpus, job.memory_mb, job.attempt) == (1, 512, 1)


def test_the_same_key_creates_once(client: Client) -> None:
    first = submit(client, key="k")
    assert submit(client, key="k") == first
    status, body = submit(client, key="k", script="false")
    assert (status, body["code"]) == (409, "idempotency_key_reused")
    assert submit(client_of(factories.user()), key="k")[1] != first[1]
    assert Job.objects.count() == 2
