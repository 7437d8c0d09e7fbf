"""The head of a CONNECT, byte by byte. What tickets allow is tried on a real sandbox (tests/privileged)."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostagent.dataport import settings
from hostagent.dataport.errors import Refused
from hostagent.dataport.request import Connect, parse
from hostagent.dataport.tickets import TicketKeys, check
from hostagent.errors import ConfigError
from tests.dataport.signer import HOST_ID, Signer

LINE = b"CONNECT a1b2c3d4e5f6g7h8:80 HTTP/1.1"
TICKET = b"Proxy-Authorization: Bearer a.b-c.d_e"


def test_head() -> None:
    expected = Connect("a1b2c3d4e5f6g7h8", 80, "a.b-c.d_e")
    assert parse(LINE + b"\r\n" + TICKET) == expected
    assert parse(LINE.replace(b":80", b":exec") + b"\r\n" + TICKET).port == "exec"
    assert parse(LINE + b"\r\nHost: x\r\nproxy-AUTHORIZATION:bearer a.b-c.d_e ") == expected


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET / HTTP/1.1\r\n" + TICKET,
        b"CONNECT a1b2c3d4e5f6g7h8:80 HTTP/1.0\r\n" + TICKET,
        b"CONNECT 127.0.0.1:80 HTTP/1.1\r\n" + TICKET,
        b"CONNECT ../../../etc/pass:80 HTTP/1.1\r\n" + TICKET,
        b"CONNECT A1B2C3D4E5F6G7H8:80 HTTP/1.1\r\n" + TICKET,
        b"CONNECT a1b2c3d4e5f6g7h8:0 HTTP/1.1\r\n" + TICKET,
        b"CONNECT a1b2c3d4e5f6g7h8:65536 HTTP/1.1\r\n" + TICKET,
        b"CONNECT a1b2c3d4e5f6g7h8:080 HTTP/1.1\r\n" + TICKET,
        b"CONNECT a1b2c3d4e5f6g7h8:EXEC HTTP/1.1\r\n" + TICKET,
        b"CONNECT a1b2c3d4e5f6g7h8:exec0 HTTP/1.1\r\n" + TICKET,
        b"CONNECT a1b2c3d4e5f6g7h8 HTTP/1.1\r\n" + TICKET,
        LINE,
        LINE + b"\r\n" + TICKET + b"\r\n" + TICKET,
        LINE + b"\r\nProxy-Authorization: Basic a",
        LINE + b"\r\nProxy-Authorization: Bearer",
        LINE + b"\r\nProxy-Authorization: Bearer a b",
        LINE + b"\nProxy-Authorization: Bearer a",
    ],
)
def test_refused(head: bytes) -> None:
    with pytest.raises(Refused) as caught:
        parse(head)
    assert caught.value.code in ("bad_request", "bad_ticket")


def test_keys_that_are_not_there_or_damaged(tmp_path: Path) -> None:
    signer = Signer()
    keys, token = TicketKeys(tmp_path), signer.ticket("a1b2c3d4e5f6g7h8", 80)
    for content in (None, "", "{}x", '{"k1": "not base64!"}', '{"k1": "c2hvcnQ="}', '{"k1": 5}'):
        if content is not None:
            (tmp_path / "ticket-keys.json").write_text(content)
        with pytest.raises(Refused) as caught:
            check(token, keys, HOST_ID)
        assert caught.value.code == "no_keys"
    signer.publish(tmp_path)
    assert check(token, keys, HOST_ID).sandbox_id == "a1b2c3d4e5f6g7h8"


def test_settings() -> None:
    assert settings.load({"MAGS_DATA_PORT_HEAD_S": "2"}).head_s == 2.0
    for environ in ({"MAGS_DATA_PORT_X": "1"}, {"MAGS_DATA_PORT_PORT": "x"}):
        with pytest.raises(ConfigError):
            settings.load(environ)
