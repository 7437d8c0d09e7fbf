"""Reading bodies: hostile ones are refused, the published clients' empty ones are fine."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.api.parsers import LenientJSONParser
from core.errors import Invalid


def parse(raw: bytes) -> dict[str, Any]:
    return LenientJSONParser().parse(io.BytesIO(raw))


@pytest.mark.parametrize("raw", [b"", b" ", b"\n", b"{}", b" {} "])
def test_nothing_is_an_empty_object(raw: bytes) -> None:
    assert parse(raw) == {}


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"3",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b"\xff\xfe",
        b'{"a": 1} x',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"a": ' + b"9" * 100_000 + b"}",
        b'{"a": "\x00"}',
        b"\xef\xbb\xbf{}",
    ],
)
def test_malformed_json_is_refused(raw: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        parse(raw)
    assert caught.value.code == "malformed_json"


@pytest.mark.parametrize("raw", [b'{"a": "x\\u0000"}', b'{"\\u0000": 1}', b'{"a": [{"b": ["\\u0000"]}]}'])
def test_nul_is_refused(raw: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        parse(raw)
    assert caught.value.code == "nul_character"


@pytest.mark.parametrize("raw", [b'{"a": "\\ud800"}', b'{"\\udc00": 1}', b'{"a": [{"b": ["\\udfff x"]}]}'])
def test_half_a_character_is_refused(raw: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        parse(raw)
    assert caught.value.code == "malformed_json"


def test_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert parse(b'{"a": "\\\\u0000"}') == {"a": "\\u0000"}


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_refused(raw: bytes) -> None:
    with contextlib.suppress(Invalid):
        assert isinstance(parse(raw), dict)
