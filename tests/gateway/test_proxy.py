"""Ordinary requests through the gateway."""

from __future__ import annotations

import asyncio
import hashlib
import json

import aiohttp
import pytest

from tests.gateway.backends import Backend, answering, header
from tests.gateway.doubles import ControlPlaneServer, PlainDataPort
from tests.gateway.visiting import Visited, visited


async def test_request_and_answer_pass(site: Visited) -> None:
    async with site.ask("POST", "/a%2Fb/%C3%A4//c?q=1&q=%20&x", data=b"hello") as answer:
        text = await answer.text()
        assert answer.status == 200
        assert (answer.headers.get("X-Kept"), answer.headers.get("X-Private")) == ("1", None)
    echoed = json.loads(text)
    assert (echoed["method"], echoed["target"], echoed["body"]) == (
        "POST",
        "/a%2Fb/%C3%A4//c?q=1&q=%20&x",
        "hello",
    )
    assert header(text, "Host") == [f"app.apps.localhost:{site.port}"]
    assert header(text, "X-Forwarded-For") == ["127.0.0.1"]
    assert header(text, "X-Forwarded-Proto") == ["http"]
    assert header(text, "X-Forwarded-Host") == [f"app.apps.localhost:{site.port}"]


async def test_headers_of_the_connection_stay_there(site: Visited) -> None:
    sent = {
        "Connection": "X-Mine, keep-alive",
        "X-Mine": "1",
        "Keep-Alive": "5",
        "TE": "trailers",
        "Proxy-Authorization": "Basic x",
        "X-Forwarded-For": "10.1.1.1",
        "X-Forwarded-Proto": "https",
        "Forwarded": "for=10.1.1.1",
        "X-Real-IP": "10.1.1.1",
        "Cookie": "a=b; c=d",
        "Authorization": "Bearer mine",
    }
    text = await site.text("/", headers=sent)
    for name in ("X-Mine", "Keep-Alive", "TE", "Proxy-Authorization", "Forwarded", "X-Real-IP"):
        assert header(text, name) == [], name
    assert header(text, "X-Forwarded-For") == ["127.0.0.1"]
    assert header(text, "X-Forwarded-Proto") == ["http"]
    assert header(text, "Cookie") == ["a=b; c=d"]
    assert header(text, "Authorization") == ["Bearer mine"]
    assert header(text, "Connection") in ([], ["keep-alive"])


async def test_trusted_proxy_is_believed(control: ControlPlaneServer, site: Visited) -> None:
    claims = {
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "pretty.example",
    }
    async with visited(control, trusted_proxies="127.0.0.0/8 ::1/128") as behind:
        text = await behind.text("/", headers=claims)
    assert header(text, "X-Forwarded-For") == ["203.0.113.7, 127.0.0.1"]
    assert header(text, "X-Forwarded-Proto") == ["https"]
    assert header(text, "X-Forwarded-Host") == ["pretty.example"]


async def test_large_upload_arrives_whole_and_is_not_stored(site: Visited) -> None:
    size = 64 * 2**20
    digest = hashlib.sha256()

    async def parts() -> object:
        for number in range(size // 65536):
            part = number.to_bytes(4, "big") * 16384
            digest.update(part)
            yield part

    for headers in ({}, {"Content-Length": str(size)}):
        digest = hashlib.sha256()
        async with site.ask("PUT", "/upload", data=parts(), headers=headers) as answer:
            assert await answer.json() == {"sha256": digest.hexdigest(), "bytes": size}


async def test_events_are_not_held_back(site: Visited, inside: Backend) -> None:
    async with site.ask("GET", "/events") as answer:
        assert await answer.content.readany() == b"data: one\n\n"
        inside.may_go_on.set()
        assert await answer.content.readany() == b"data: two\n\n"


async def test_slow_reader_stops_the_server_inside(site: Visited, inside: Backend) -> None:
    """All buffers on the way together hold no more than a few MiB of a GiB."""
    async with site.ask("GET", "/download") as answer:
        await answer.content.readexactly(1000)
        last = -1
        while last != inside.sent_bytes:
            last = inside.sent_bytes
            await asyncio.sleep(0.3)
        assert 0 < last < 64 * 2**20


async def test_expect_100_continue(site: Visited) -> None:
    async with site.ask("POST", "/upload", data=b"x" * 100, expect100=True) as answer:
        assert (await answer.json())["bytes"] == 100
    async with site.ask("POST", "/upload", data=b"x", headers={"Expect": "the impossible"}) as answer:
        assert answer.status == 417


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body(site: Visited, status: int) -> None:
    for _ in range(2):  # the connection is still good
        async with site.ask("GET", f"/empty/{status}") as answer:
            assert (answer.status, await answer.read()) == (status, b"")


async def test_head_says_the_length_and_sends_nothing(site: Visited) -> None:
    async with site.ask("GET", "/x") as answer:
        await answer.read()
    async with site.ask("HEAD", "/x") as head:
        assert head.status == 200
        assert int(head.headers["Content-Length"]) > 0
        assert await head.read() == b""


async def test_connections_are_kept_for_what_may_be_repeated(site: Visited, data_port: PlainDataPort) -> None:
    for _ in range(5):
        await site.text("/")
    assert len(data_port.connects) == 1
    for _ in range(3):
        async with site.ask("POST", "/", data=b"x") as answer:
            assert answer.status == 200
    assert len(data_port.connects) == 4


async def test_headers_pass_however_they_are_written(
    control: ControlPlaneServer, data_port: PlainDataPort, site: Visited
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-type: text/html\r\nSERVER: odd\r\nContent-Length: 2\r\n\r\nhi"
    async with answering(head) as (port, _):
        control.run("odd", data_port.port, port)
        async with site.ask("GET", "/", "odd") as answer:
            assert (answer.headers["Content-Type"], answer.headers["Server"]) == ("text/html", "odd")


async def test_unasked_headers_are_not_added(
    control: ControlPlaneServer, data_port: PlainDataPort, site: Visited
) -> None:
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") as (port, heads):
        control.run("bare", data_port.port, port)
        async with site.ask(
            "GET", "/", "bare", skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent")
        ) as answer:
            assert await answer.text() == "hi"
            assert set(answer.headers) <= {"Content-Length", "Date", "Connection"}
    names = {line.partition(b":")[0].lower() for line in heads[0].split(b"\r\n")[1:-2]}
    assert names <= {b"host", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"connection"}


@pytest.mark.parametrize(("method", "times"), [("POST", 1), ("PUT", 1), ("DELETE", 1), ("GET", 2)])
async def test_server_that_closes_without_an_answer(
    control: ControlPlaneServer, data_port: PlainDataPort, site: Visited, method: str, times: int
) -> None:
    """What may have been heard is not said again, unless that can do no harm."""
    async with answering(b"") as (port, heads):
        control.run("rude", data_port.port, port)
        async with site.ask(method, "/", "rude") as answer:
            assert (answer.status, (await answer.json())["code"]) == (502, "no_answer")
        assert len(heads) == times


async def test_kept_connection_that_was_closed_is_replaced(
    control: ControlPlaneServer, data_port: PlainDataPort, site: Visited
) -> None:
    async with answering(b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") as (port, _):
        control.run("stale", data_port.port, port)
        assert await site.text("/", "stale") == "hi"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
async def test_half_an_answer_does_not_look_whole(
    control: ControlPlaneServer, data_port: PlainDataPort, site: Visited, answer: bytes
) -> None:
    async with answering(answer) as (port, _):
        control.run("half", data_port.port, port)
        with pytest.raises(aiohttp.ClientError):
            await site.text("/", "half")


async def test_nonsense_is_no_answer(
    control: ControlPlaneServer, data_port: PlainDataPort, site: Visited
) -> None:
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    others = (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n")
    for number, nonsense in enumerate((chunks, switch, *others)):
        async with answering(nonsense) as (port, _):
            control.run(f"n{number}", data_port.port, port)
            async with site.ask("POST", "/", f"n{number}") as answer:
                assert (answer.status, (await answer.json())["code"]) == (502, "no_answer"), nonsense


async def test_nothing_listens(control: ControlPlaneServer, data_port: PlainDataPort, site: Visited) -> None:
    async with answering(b"") as (port, _):
        control.run("closed", data_port.port, port)
    async with site.ask("GET", "/", "closed") as answer:
        body = await answer.json()
        assert answer.status == 502
        assert body["error"] == f"nothing listens on port {port} in this sandbox"
        assert set(body) == {"error", "code", "remediation", "retryable", "request_id"}
    async with site.ask("GET", "/", "closed", headers={"Accept": "text/html"}) as answer:
        page = await answer.text()
        assert f"othing listens on port {port} in this sandbox" in page
        assert "<script" not in page
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_visitor_who_leaves_ends_the_request_inside(site: Visited, inside: Backend) -> None:
    async with asyncio.timeout(10):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3), site.ask("GET", "/slow"):
                pass
        assert inside.seen == ["GET /slow"]


async def test_path_form_only_where_it_was_asked_for(control: ControlPlaneServer, site: Visited) -> None:
    async with site.ask("GET", "/-/app/x", headers={"Host": "apps.localhost"}) as answer:
        assert answer.status == 421
    async with visited(control, path_host="paths.localhost") as paths:
        host = {"Host": "paths.localhost"}
        text = await paths.text("/-/app/a/b?c", headers=host)
        assert json.loads(text)["target"] == "/a/b?c"
        assert header(text, "X-Forwarded-Prefix") == ["/-/app"]
        async with paths.ask("GET", "/-/app/redirect", headers=host) as answer:
            assert answer.headers["Location"] == "/-/app/login?next=/"
        for path in ("/", "/-/app", "/-/", "/-/-/x", "/-/APP/x", "/x/-/app/"):
            async with paths.ask("GET", path, headers=host) as answer:
                assert answer.status in (421, 404), path
