"""How request bodies are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from rest_framework.parsers import BaseParser

from core.errors import Invalid


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


class LenientJSONParser(BaseParser):
    """JSON objects. An empty body is an empty object: the published clients send a JSON content
    type with bodiless requests too."""

    media_type = "application/json"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        raw: bytes = stream.read()
        if not raw.strip():
            return {}
        try:
            parsed = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise Invalid(f"The body is not valid JSON: {error}", code="malformed_json") from error
        if not isinstance(parsed, dict):
            raise Invalid("The body must be a JSON object.", code="malformed_json")
        # Escapes can spell what no PostgreSQL text, argument list or environment can hold.
        if b"\\u" in raw:
            _check_texts(parsed)
        return parsed


def _check_texts(parsed: object) -> None:
    pending = [parsed]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            _check_text(item)
        elif isinstance(item, dict):
            pending += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            pending += item


def _check_text(text: str) -> None:
    if "\0" in text:
        raise Invalid("The body holds a NUL character.", code="nul_character")
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Invalid("The body holds half of a surrogate pair.", code="malformed_json")
