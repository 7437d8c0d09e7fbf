"""GET /mags-jobs/usage."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.services import token_create
from tests.accounts.factories import browser_of, client_of, user
from tests.jobs import factories
from tests.jobs.factories import Agent
from usage.export import HEADINGS, inert
from usage.models import DailyUsage, Progress

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]
PATH = "/api/v1/mags-jobs/usage"
HOSTILE = '=HYPERLINK("https://evil.example","x")'


def get(client: Client, query: str = "", status: int = 200) -> dict[str, Any]:
    response = client.get(PATH + query)
    assert response.status_code == status, response.content
    answer: dict[str, Any] = response.json()
    return answer


def lines(client: Client, query: str = "") -> list[dict[str, str]]:
    response = client.get(f"{PATH}?format=csv{query}")
    assert response.status_code == 200
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(response.content.decode())))


def written(owner: User, days_ago: int = 1, **amounts: Any) -> DailyUsage:
    """A day that is written down."""
    today = timezone.now().date()
    Progress.objects.update_or_create(pk=1, defaults={"written_before": today})
    day = today - timedelta(days=days_ago)
    return DailyUsage.objects.create(owner=owner, day=day, **amounts)


def test_real_job_is_counted(owner: User) -> None:
    client, agent = factories.client_of(owner), Agent()
    status, answer = factories.submit(client, script="echo hi")
    assert status == 202
    agent.run(owner.jobs.get(pk=answer["request_id"]))
    found = get(client)
    assert (found["total_jobs"], found["window_days"], len(found["by_day"])) == (1, 30, 30)
    assert 0 <= found["vm_seconds"] < 60
    assert found["by_day"][-1]["jobs"] == 1
    assert found["by_day"][-1]["day"] == found["last_day"]
    assert [(row["workspace"], row["jobs"]) for row in found["by_workspace"]] == [(None, 1)]
    token = owner.api_tokens.get()
    used = found["by_token"][0]
    assert (used["token_id"], used["name"], used["jobs"]) == (token.pk, "test", 1)
    assert found["by_cron"] == []


def test_unmetered_is_null_and_metered_is_added_up(owner: User) -> None:
    client = client_of(owner)
    unmetered = ("cpu_seconds", "memory_gb_hours", "storage_gb_hours", "received_bytes", "sent_bytes")
    assert {get(client)[name] for name in unmetered} == {None}
    written(owner, 2, jobs=1)
    written(
        owner, workspace="a", cpu_ms=1500, memory_mb_s=1024 * 1800, storage_byte_hours=3 << 30, sent_bytes=0
    )
    written(owner, workspace="b", cpu_ms=500, received_bytes=10**15)
    found = get(client)
    assert [found[name] for name in unmetered] == [2.0, 0.5, 3.0, 10**15, 0]
    assert [day["cpu_seconds"] for day in found["by_day"][-3:]] == [None, 2.0, None]


def test_sees_nobody_elses(owner: User) -> None:
    other = user()
    factories.job(other, name="theirs")
    written(other, jobs=5, workspace="secret", storage_byte_hours=7)
    found = get(client_of(owner))
    assert (found["total_jobs"], found["by_workspace"], found["by_token"]) == (0, [], [])
    assert lines(client_of(owner)) == []


def test_token_for_one_workspace_is_told_of_that_one(owner: User) -> None:
    token, text = token_create(owner, "narrow")
    token.workspace_name = "mine"
    token.save()
    written(owner, workspace="mine", jobs=2)
    written(owner, workspace="other", jobs=3)
    found = get(Client(headers={"Authorization": f"Bearer {text}"}))
    assert found["total_jobs"] == 2
    assert [row["workspace"] for row in found["by_workspace"]] == ["mine"]


@pytest.mark.parametrize("days", ["0", "367", "-1", "x", "1.5", "1e3", "٣", "9" * 100])
def test_bad_window_is_refused(owner: User, days: str) -> None:
    found = get(client_of(owner), f"?window_days={days}", 400)
    assert set(found["fields"]) == {"window_days"}
    assert "366" in found["error"]


def test_bad_format_is_refused(owner: User) -> None:
    assert set(get(client_of(owner), "?format=xml", 400)["fields"]) == {"format"}


def test_strangers_need_a_token() -> None:
    get(Client(), status=401)
    assert Client().get(PATH, headers={"Authorization": "Bearer mags_no"}).status_code == 401


def test_only_reads(owner: User) -> None:
    assert client_of(owner).post(PATH).status_code == 405


def test_csv_has_a_line_for_each_day_workspace_and_token(owner: User) -> None:
    token, _ = token_create(owner, HOSTILE)
    written(owner, workspace="a", token_number=token.pk, jobs=2, awake_ms=1500, cpu_ms=10)
    written(owner, workspace="a", storage_byte_hours=1 << 29)
    found = lines(browser_of(owner), "&window_days=2")
    assert list(found[0]) == list(HEADINGS)
    storage, used = found
    assert (storage["token"], storage["storage_gb_hours"], storage["cpu_seconds"]) == ("", "0.5", "")
    assert used["token"] == f"'{HOSTILE}"
    assert (used["jobs"], used["vm_seconds"], used["cpu_seconds"]) == ("2", "1.5", "0.01")


def test_csv_is_a_download_also_for_who_accepts_only_that(owner: User) -> None:
    response = client_of(owner).get(f"{PATH}?format=csv", headers={"Accept": "text/csv"})
    assert response.status_code == 200
    assert response["Content-Disposition"].startswith('attachment; filename="mags-usage-20')


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1"])
def test_formulas_become_text(text: str) -> None:
    assert inert(text) == f"'{text}"


@pytest.mark.parametrize("text", ["laptop", "a=b", "", "1-2", "'quoted"])
def test_other_text_stays(text: str) -> None:
    assert inert(text) == text


def test_number_of_queries_does_not_depend_on_what_there_is(
    owner: User, django_assert_max_num_queries: Any
) -> None:
    client = client_of(owner)
    get(client)  # notes the token's use
    with django_assert_max_num_queries(14):
        get(client, "?window_days=366")
    for number in range(5):
        factories.job(owner, workspace=f"w{number}")
        written(owner, workspace=f"w{number}", jobs=1)
        token_create(owner, f"t{number}")
    with django_assert_max_num_queries(14):
        assert get(client, "?window_days=366")["total_jobs"] == 10


def test_many_workspaces_are_cut_and_counted(owner: User) -> None:
    today = timezone.now().date()
    Progress.objects.create(written_before=today)
    DailyUsage.objects.bulk_create(
        DailyUsage(
            owner=owner, day=today - timedelta(days=1), workspace=f"w{number}", jobs=1, awake_ms=number
        )
        for number in range(230)
    )
    found = get(client_of(owner))
    assert (len(found["by_workspace"]), found["workspaces_total"], found["total_jobs"]) == (200, 230, 230)
    assert found["by_workspace"][0]["workspace"] == "w229"
