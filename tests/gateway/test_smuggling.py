"""Raw bytes that no client sends: what two servers could read in two ways reaches nobody."""

from __future__ import annotations

import re

import pytest

from tests.gateway.backends import Backend
from tests.gateway.visiting import Visited

HOST = b"Host: app.apps.localhost\r\n"
CLOSE = b"Connection: close\r\n"

REFUSED = {
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "no Host in 1.0": b"GET / HTTP/1.0\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "two Hosts that differ": b"GET / HTTP/1.1\r\n" + HOST + b"Host: dashboard\r\n\r\n",
    "empty Host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "length and chunks": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "list of lengths": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5, 5\r\n\r\nhello",
    "signed length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n\r\nhello",
    "negative length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -5\r\n\r\nhello",
    "hexadecimal length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0x5\r\n\r\nhello",
    "space before the colon": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length : 5\r\n\r\nhello",
    "chunks under another name": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks twice": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunks not last": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunks after a tab": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\n" + HOST + b"X-A: 1\r\n Transfer-Encoding: chunked\r\n\r\n",
    "header before a space": b"GET / HTTP/1.1\r\n Host: app.apps.localhost\r\n\r\n",
    "bare CR": b"GET / HTTP/1.1\r\n" + HOST + b"X-A: 1\rX-B: 2\r\n\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\n" + HOST + b"X-A: 1\x002\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\n" + HOST + b"nonsense\r\n\r\n",
    "absolute form": b"GET http://app.apps.localhost/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "absolute form of another": b"GET http://127.0.0.1:22/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "authority form": b"CONNECT app.apps.localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "asterisk form": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "fragment in the target": b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\n" + HOST + b"\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\n" + HOST + b"\r\n",
    "another protocol": b"GET / HTTQ/1.1\r\n" + HOST + b"\r\n",
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50),
    "long line": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "long header": b"GET / HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 40_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + HOST + b"X-A: 1\r\n" * 200 + b"\r\n",
}


@pytest.mark.parametrize("what", REFUSED)
async def test_refused(site: Visited, inside: Backend, what: str) -> None:
    data = REFUSED[what]
    answer = await site.raw(data + b"GET /smuggled HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n")
    assert re.match(rb"HTTP/1\.[01] (400|408|417|421|431|501|505) ", answer) or answer == b"", answer
    assert inside.seen == []


HOSTS = (
    "apps.localhost",
    ".apps.localhost",
    "a.app.apps.localhost",
    "app.apps.localhost.",
    "app.apps.localhost.evil.example",
    "appapps.localhost",
    "app.apps.localhost@evil.example",
    "evil.example/app.apps.localhost",
    "app.apps.localhost:99999999",
    "app.apps.localhost:",
    "app_1.apps.localhost",
    "app.apps.localhost:80:80",
    "127.0.0.1",
    "[::1]",
    "localhost",
    "äpp.apps.localhost",
    f"{'a' * 64}.apps.localhost",
    "app%2eapps.localhost",
    "app.apps.localhost\t",
)


@pytest.mark.parametrize("host", HOSTS)
async def test_hosts_that_are_none_of_ours(site: Visited, inside: Backend, host: str) -> None:
    answer = await site.raw(b"GET / HTTP/1.1\r\nHost: " + host.encode() + b"\r\n" + CLOSE + b"\r\n")
    if host.endswith("\t"):  # white space around a value is no part of it
        assert answer.startswith(b"HTTP/1.1 200 ")
        return
    assert re.match(rb"HTTP/1\.1 (400|421) ", answer), answer
    assert inside.seen == []


async def test_host_is_compared_without_case(site: Visited) -> None:
    answer = await site.raw(b"GET / HTTP/1.1\r\nHost: APP.Apps.LOCALHOST:1\r\n" + CLOSE + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_bad_chunks_end_the_request_and_nothing_after_it_is_heard(
    site: Visited, inside: Backend
) -> None:
    head = b"POST /bad HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    for chunk in (
        b"zz\r\nhello\r\n0\r\n\r\n",
        b"5;\nx\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"-1\r\n\r\n",
    ):
        answer = await site.raw(head + chunk + b"GET /smuggled HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n")
        assert b" 200 " not in answer.split(b"\r\n")[0], answer
    assert [line for line in inside.seen if "smuggled" in line] == []


async def test_pipelined_requests_are_answered_in_order(site: Visited, inside: Backend) -> None:
    one = b"POST /one HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello"
    two = b"GET /two HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n"
    answer = await site.raw(one + two)
    assert [answer.index(b'"/one"') < answer.index(b'"/two"'), answer.count(b"HTTP/1.1 200")] == [True, 2]
    assert inside.seen == ["POST /one", "GET /two"]


async def test_refused_body_is_not_read_as_a_request(site: Visited, inside: Backend) -> None:
    hidden = b"GET /hidden HTTP/1.1\r\n" + HOST + b"\r\n"
    length = b"Content-Length: %d\r\n" % (len(hidden) + 1000)
    answer = await site.raw(
        b"POST / HTTP/1.1\r\nHost: unknown.apps.localhost\r\n" + length + b"\r\n" + hidden, timeout_s=20
    )
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert inside.seen == []


async def test_other_upgrades_are_not_passed_on(site: Visited) -> None:
    wish = b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    answer = await site.raw(b"GET / HTTP/1.1\r\n" + HOST + wish + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"h2c" not in answer
    assert b"HTTP2-Settings" not in answer
