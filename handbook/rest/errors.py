"""What can go wrong with a call: the status and words of the code's own error classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import MagsError
from handbook.rest.document import Call

UNKNOWN = {  # what answers a path's parameter that names nothing
    "job": "job_not_found",
    "name": "workspace_not_found",
    "exec_id": "exec_not_found",
    "file_id": "file_not_found",
    "subdomain": "alias_not_found",
    "token_id": "no_such_token",
}


@dataclass(frozen=True, slots=True)
class Failure:
    code: str
    status: int
    words: str


def failures(call: Call, own: tuple[str, ...]) -> list[Failure]:
    known = known_failures()
    bad_input = ["invalid"] if call.body or call.in_query else []
    unknown = [UNKNOWN.get(field.name, "not_found") for field in call.in_path]
    always = ["throttled"]
    if call.needs_token:
        always = ["unauthorized", *(["missing_scope"] if call.method != "GET" else []), *always]
    return [known[code] for code in dict.fromkeys([*bad_input, *unknown, *own, *always])]


def known_failures() -> dict[str, Failure]:
    """By code. Where classes share one, the words are those of the most general."""
    return {
        error.code: Failure(error.code, error.status, error.default_message)
        for error in _subclasses(MagsError)
    }


def _subclasses(parent: type[MagsError]) -> Iterator[type[MagsError]]:
    for child in parent.__subclasses__():
        yield from _subclasses(child)
        yield child
