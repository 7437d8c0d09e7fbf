"""The page of usage over HTTP: what it says, and to whom."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.services import token_create, token_revoke
from dashboard.usage_charts import HEIGHT, charts, not_metered
from tests.accounts.factories import user
from tests.jobs import factories
from usage.amounts import HOUR_MS, Amounts
from usage.models import DailyUsage, Progress
from workspaces.models import Workspace

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@pytest.fixture
def owner() -> User:
    return user()


@pytest.fixture
def client(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


def used(owner: User, days_ago: int = 1, **amounts: Any) -> None:
    today = timezone.now().date()
    Progress.objects.update_or_create(pk=1, defaults={"written_before": today})
    DailyUsage.objects.create(owner=owner, day=today - timedelta(days=days_ago), **amounts)


def text_of(client: Client, query: str = "") -> str:
    response = client.get(f"/usage/{query}")
    assert response.status_code == 200
    return response.content.decode()


def test_strangers_are_sent_to_sign_in() -> None:
    assert Client().get("/usage/")["Location"] == "/login/?next=/usage/"


def test_nothing_yet_says_what_to_do(client: Client) -> None:
    page = text_of(client)
    assert "Nothing was used in these 30 days" in page
    assert "mags usage" in page
    assert "data-chart" not in page


def test_shows_ones_own(client: Client, owner: User) -> None:
    factories.job(owner)
    used(owner, workspace="mine", jobs=3, awake_ms=2 * HOUR_MS, asleep_ms=HOUR_MS)
    used(user(), workspace="theirs", jobs=99)
    page = text_of(client)
    assert "mine" in page
    assert "theirs" not in page
    assert '<dd class="num">4</dd>' in page
    assert "2 h 0 min" in page
    assert "and 1 h 0 min asleep" in page


def test_what_is_not_metered_is_said_and_never_zero(client: Client, owner: User) -> None:
    used(owner, jobs=1)
    page = text_of(client)
    assert page.count("Not metered yet</dd>") == 3
    assert "Storage, CPU time, Memory, Traffic: charts appear" in page
    used(owner, 2, cpu_ms=1500, sent_bytes=2048, storage_byte_hours=0, memory_mb_s=1024 * 3600)
    page = text_of(client)
    assert "Not metered yet" not in page
    assert "0 B in" in page
    assert "and 2.0 KB out" in page
    assert page.count("data-chart") == 6


@pytest.mark.parametrize(
    ("query", "days"), [("", 30), ("?days=7", 7), ("?days=90", 90), ("?days=x", 30), ("?days=8", 30)]
)
def test_window_is_one_of_three(client: Client, owner: User, query: str, days: int) -> None:
    used(owner, jobs=1)
    page = text_of(client, query)
    assert page.count('class="bar"') == 2 * days  # jobs and sandbox time
    assert f"window_days={days}&amp;format=csv" in page


def test_names_are_text(client: Client, owner: User) -> None:
    token, _ = token_create(owner, HOSTILE)
    used(owner, token_number=token.pk, jobs=1)
    assert "<img" not in text_of(client)


def test_deleted_and_revoked_are_marked_and_lead_nowhere(client: Client, owner: User) -> None:
    token, _ = token_create(owner, "old laptop")
    token_revoke(owner, token.pk)
    Workspace.objects.create(owner=owner, name="web", disk_gb=2)
    used(owner, workspace="web", token_number=token.pk, jobs=1)
    used(owner, workspace="gone", token_number=999_999, jobs=1)
    page = text_of(client)
    assert 'href="/workspaces/web/"' in page
    assert 'href="/workspaces/gone/"' not in page
    assert page.count('<span class="badge">deleted</span>') == 2
    assert page.count('<span class="badge">revoked</span>') == 1
    assert "Token 999999" in page


def test_number_of_queries_does_not_depend_on_what_there_is(
    client: Client, owner: User, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        Workspace.objects.create(owner=owner, name=f"w{number}", disk_gb=2)
        token, _ = token_create(owner, f"t{number}")
        used(owner, workspace=f"w{number}", token_number=token.pk, jobs=1, awake_ms=number)
    with django_assert_max_num_queries(16):
        page = text_of(client, "?days=90")
    assert page.count("And 10 more that used less") == 2


class TestCharts:
    DAY = date(2026, 11, 22)

    def drawn(self, *days: Amounts) -> Any:
        total = Amounts()
        for amounts in days:
            total.add(amounts)
        listed = [(self.DAY + timedelta(days=number), amounts) for number, amounts in enumerate(days)]
        return {chart.kind.name: chart for chart in charts(total, listed)}

    def test_bars_stand_on_the_ground_and_on_each_other(self) -> None:
        chart = self.drawn(Amounts(awake_ms=3000, asleep_ms=1000), Amounts(awake_ms=1000), Amounts())["time"]
        full, half, nothing = (bar.pieces for bar in chart.bars)
        assert [(piece.y, piece.height) for piece in full] == [(25, 75), (0, 25)]
        assert [(piece.y, piece.height) for piece in half] == [(75, 25)]
        assert nothing == []
        assert full[0].y + full[0].height == HEIGHT

    def test_says_each_day_in_words(self) -> None:
        chart = self.drawn(Amounts(jobs=1), Amounts(jobs=1200))["jobs"]
        assert [bar.label for bar in chart.bars] == ["22 Nov 2026: 1 job", "23 Nov 2026: 1,200 jobs"]
        assert chart.summary == "Most on 23 Nov 2026: 1,200 jobs."
        assert chart.totals == ["1,201 jobs"]

    def test_little_is_not_nothing(self) -> None:
        chart = self.drawn(Amounts(jobs=1), Amounts(jobs=100_000))["jobs"]
        assert chart.bars[0].pieces[0].height > 1

    def test_only_what_was_metered_is_drawn(self) -> None:
        total = Amounts(jobs=1, cpu_ms=0)
        assert list(self.drawn(Amounts(jobs=1), Amounts(cpu_ms=0))) == ["jobs", "time", "cpu"]
        assert not_metered(total) == ["Storage", "Memory", "Traffic"]

    def test_day_that_nobody_metered_says_so(self) -> None:
        chart = self.drawn(Amounts(), Amounts(cpu_ms=10))["cpu"]
        assert [bar.values for bar in chart.bars] == [["not metered"], ["10 ms"]]
