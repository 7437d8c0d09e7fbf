"""Sleepers, a control plane that is away, and sandboxes that have moved."""

from __future__ import annotations

import asyncio
import io
import time

import pytest

from tests.gateway.backends import Backend, backend
from tests.gateway.doubles import ControlPlaneServer, PlainDataPort
from tests.gateway.visiting import Visited, visited

BROWSER = {"Accept": "text/html,*/*", "Sec-Fetch-Mode": "navigate"}


async def test_five_hundred_at_once_wake_once_and_all_are_answered(
    control: ControlPlaneServer, site: Visited
) -> None:
    control.put_to_sleep("app")
    asking = [asyncio.create_task(site.text(f"/{number}")) for number in range(500)]
    async with asyncio.timeout(30):
        await control.was_woken.wait()
        control.may_wake.set()
        answers = await asyncio.gather(*asking)
    assert [f'"/{number}"' in answer for number, answer in enumerate(answers)] == [True] * 500
    assert (control.lookups, control.wakes) == (["app"], ["app"])


async def test_many_at_once_look_up_once(control: ControlPlaneServer, site: Visited) -> None:
    await asyncio.gather(*(site.text() for _ in range(100)))
    assert control.lookups == ["app"]


async def test_upload_waits_unread_while_it_wakes(control: ControlPlaneServer, site: Visited) -> None:
    control.put_to_sleep("app")
    async with asyncio.timeout(20):
        asking = asyncio.create_task(_upload(site))
        await control.was_woken.wait()
        control.may_wake.set()
        assert await asking == 2**22


async def _upload(site: Visited) -> int:
    async with site.ask("POST", "/upload", data=io.BytesIO(bytes(2**22))) as answer:
        return int((await answer.json())["bytes"])


async def test_browser_sees_a_page_that_asks_again(control: ControlPlaneServer) -> None:
    control.routes["app"] = {"state": "sleeping", "max_age_s": 0}
    async with visited(control, waiting_page_s=0.05) as site:
        async with site.ask("GET", "/", headers=BROWSER) as answer:
            page = await answer.text()
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
            assert answer.headers["Cache-Control"] == "no-store"
        assert '<meta http-equiv="refresh" content="2">' in page
        assert "<script" not in page


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {}),
        ("POST", BROWSER),
        ("GET", {"Accept": "text/event-stream"}),
        ("GET", {"Accept": "text/html"}),
    ],
)
async def test_everybody_else_waits_until_the_deadline(
    control: ControlPlaneServer, method: str, headers: dict[str, str]
) -> None:
    control.routes["app"] = {"state": "sleeping", "max_age_s": 0}
    async with visited(control, waiting_page_s=0.01, wake_s=0.3) as site:
        async with site.ask(method, "/", headers=headers) as answer:
            await answer.read()
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert control.wakes == ["app"]


async def test_unknown_label(control: ControlPlaneServer, site: Visited) -> None:
    for _ in range(3):
        async with site.ask("GET", "/", "unknown") as answer:
            assert (answer.status, (await answer.json())["code"]) == (404, "no_such_url")
    assert control.lookups == ["unknown"]


async def test_control_plane_that_is_away_stops_only_what_is_not_known(
    control: ControlPlaneServer, site: Visited
) -> None:
    control.routes["app"]["max_age_s"] = 0
    await site.text()
    await control.stop()
    for _ in range(5):
        await site.text()
    async with site.ask("GET", "/", "other") as answer:
        assert (answer.status, (await answer.json())["code"]) == (503, "control_plane_away")
        assert answer.headers["Retry-After"] == "5"
    await control.start()
    control.routes["other"] = control.routes["app"]
    await site.text("/", "other")


async def test_control_plane_that_returns_while_a_visitor_waits(
    control: ControlPlaneServer, site: Visited
) -> None:
    control.put_to_sleep("app")
    async with asyncio.timeout(30):
        asking = asyncio.create_task(site.text())
        await control.was_woken.wait()
        await control.stop()
        control.may_wake.set()
        await control.start()
        assert '"GET"' in await asking


async def test_expired_ticket_is_not_used(control: ControlPlaneServer, site: Visited) -> None:
    control.routes["app"] |= {"ticket_expires_at": int(time.time() * 1000), "max_age_s": 60}
    fresh = {**control.routes["app"], "ticket_expires_at": int((time.time() + 60) * 1000)}
    control.woken["app"] = fresh
    control.may_wake.set()
    await site.text()
    assert control.wakes == ["app"]


async def test_sandbox_that_moved_is_found_again(
    control: ControlPlaneServer,
    data_port: PlainDataPort,
    inside: Backend,
    site: Visited,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also for what must not be sent twice: nothing of it was sent when the old place refused."""
    monkeypatch.setattr("gateway.routes.ENDING_S", 0.2)
    async with PlainDataPort() as other:
        other.refuse = (404, "no_sandbox")
        control.run("app", other.port, inside.port)
        async with site.ask("GET", "/") as answer:
            assert (answer.status, (await answer.json())["code"]) == (502, "no_sandbox")
        other.refuse = None
        await site.text()
        other.refuse = (404, "no_sandbox")
        control.run("app", data_port.port, inside.port)
        async with site.ask("POST", "/upload", data=b"12345") as answer:
            assert (await answer.json())["bytes"] == 5


@pytest.mark.parametrize("code", ["no_sandbox", "not_awake"])
async def test_nobody_is_refused_for_an_end_that_the_control_plane_has_not_heard_of(
    control: ControlPlaneServer, data_port: PlainDataPort, site: Visited, code: str
) -> None:
    """A sandbox that has slept for long is stopped the moment that they come."""
    control.woken["app"] = control.routes["app"] | {"sandbox_id": "b" * 16}
    control.may_wake.set()
    data_port.refuse = (404, code)
    asking = [asyncio.create_task(site.text(f"/{number}")) for number in range(50)]
    async with asyncio.timeout(20):
        await data_port.reached(50)
        while len(control.lookups) < 3:  # it still leads there  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.01)
        data_port.refuse = None
        control.routes["app"] = {"state": "stopped", "max_age_s": 0}
        answers = await asyncio.gather(*asking)
    assert [f'"/{number}"' in answer for number, answer in enumerate(answers)] == [True] * 50
    assert control.wakes == ["app"]
    assert data_port.connects[-1][0] == "b" * 16


async def test_data_port_that_is_restarted(
    control: ControlPlaneServer, data_port: PlainDataPort, site: Visited
) -> None:
    await site.text()
    await data_port.stop()
    async with site.ask("GET", "/") as answer:
        assert (answer.status, (await answer.json())["code"]) == (502, "host_away")
    await data_port.start()
    await site.text()


async def test_full_sandbox(data_port: PlainDataPort, control: ControlPlaneServer, site: Visited) -> None:
    data_port.refuse = (503, "too_many_connections")
    async with site.ask("GET", "/") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert control.lookups == ["app"]


async def young(control: ControlPlaneServer, data_port: PlainDataPort, settling_ms: int) -> int:
    """The label `young` leads to a sandbox just made, on whose port nothing listens yet. The port."""
    async with backend() as server:
        port = server.port
    control.run("young", data_port.port, port, settling_ms=settling_ms)
    return port


async def test_visitors_wait_for_a_server_that_starts_with_its_sandbox(
    control: ControlPlaneServer, data_port: PlainDataPort, site: Visited
) -> None:
    port = await young(control, data_port, 30_000)
    asking = [asyncio.create_task(site.text(f"/{number}", "young")) for number in range(50)]
    async with asyncio.timeout(20):
        await data_port.reached(50 + 3)  # by each, and by somebody who knocks
        async with backend(port):
            answers = await asyncio.gather(*asking)
    assert [f'"/{number}"' in answer for number, answer in enumerate(answers)] == [True] * 50


async def test_a_browser_sees_the_page_while_the_server_starts(
    control: ControlPlaneServer, data_port: PlainDataPort
) -> None:
    await young(control, data_port, 30_000)
    async with (
        visited(control, waiting_page_s=0.05) as site,
        site.ask("GET", "/", "young", headers=BROWSER) as answer,
    ):
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")


async def test_who_does_not_listen_in_time_is_told_of(
    control: ControlPlaneServer, data_port: PlainDataPort, site: Visited
) -> None:
    await young(control, data_port, 300)
    async with site.ask("GET", "/", "young") as answer:
        assert (answer.status, (await answer.json())["code"]) == (502, "nothing_listens")
    assert len(data_port.connects) > 2
