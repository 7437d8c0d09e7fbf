"""What may stand after the question mark."""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter

from core.errors import Invalid
from jobs.logs import Unit
from jobs.selectors import NAME
from jobs.states import JobStatus, Stream

LOG_LIMIT = 1000
LOG_LIMIT_MOST = 10_000
LOG_LIMIT_BYTES = 1024 * 1024
# Without `offset` and `limit` a caller expects everything (the published clients do), up to here.
LOG_WHOLE_LIMIT = 100_000
LOG_WHOLE_LIMIT_BYTES = 16 * 1024 * 1024
OFFSET_LIMIT = 2**53  # JSON numbers are exact below it

WAIT = OpenApiParameter("wait", float, description=f"Seconds, at most {settings.WAIT_LIMIT_S}.", default=0)
REVISION = OpenApiParameter("revision", int, description="The revision that the caller knows.")
STATUS = OpenApiParameter("status", str, enum=list(JobStatus))
TEXT = OpenApiParameter("q", str, description="Part of a name, or the beginning of an id.")
WORKSPACE = OpenApiParameter("workspace", str, description="The name of a workspace.")
OFFSET = OpenApiParameter("offset", int, description="Where in the output to begin, in bytes.", default=0)
LIMIT = OpenApiParameter(
    "limit",
    int,
    description=f"Entries, at most {LOG_LIMIT_MOST}. Default {LOG_LIMIT}, or {LOG_WHOLE_LIMIT} where"
    " neither `offset` nor `limit` is given.",
)
STREAM = OpenApiParameter("stream", str, description="stdout, stderr or platform; or several, with commas.")
UNIT = OpenApiParameter(
    "unit",
    str,
    enum=list(Unit),
    description="What an entry is: a line, or a whole stored record (newlines inside `message`), which is"
    " what a program that only wants the bytes should ask for.",
    default=Unit.LINE.value,
)

Query = Mapping[str, str]


def wait_s(query: Query) -> float:
    text = query.get("wait") or "0"
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise _wrong("wait", "must be a number of seconds")
    return min(float(text), float(settings.WAIT_LIMIT_S))


def whole(query: Query, name: str, default: int, *, least: int = 0, most: int = OFFSET_LIMIT) -> int:
    text = query.get(name) or ""
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,16}", text) or not least <= int(text) <= most:
        raise _wrong(name, f"must be a whole number from {least} to {most}")
    return int(text)


def status(query: Query) -> str:
    text = query.get("status") or ""
    if text and text not in set(JobStatus):
        raise _wrong("status", f"must be one of {', '.join(JobStatus)}")
    return text


def workspace(query: Query) -> str:
    found = query.get("workspace") or ""
    if found and not NAME.fullmatch(found):
        raise _wrong("workspace", "must be the name of a workspace")
    return found


def text(query: Query) -> str:
    found = query.get("q") or ""
    if "\0" in found or len(found) > 100:
        raise _wrong("q", "must be at most 100 characters of text")
    return found


def streams(query: Query) -> frozenset[Stream]:
    names = (query.get("stream") or "").lower()
    known = {stream.name.lower(): stream for stream in Stream}
    if not names:
        return frozenset(Stream)
    try:
        return frozenset(known[name.strip()] for name in names.split(","))
    except KeyError:
        raise _wrong("stream", f"must be one or more of {', '.join(known)}") from None


def unit(query: Query) -> Unit:
    try:
        return Unit(query.get("unit") or Unit.LINE)
    except ValueError:
        raise _wrong("unit", f"must be one of {', '.join(Unit)}") from None


def log_limits(query: Query) -> tuple[int, int]:
    """How many entries and how many bytes one answer may have."""
    if not query.get("offset") and not query.get("limit"):
        return LOG_WHOLE_LIMIT, LOG_WHOLE_LIMIT_BYTES
    return whole(query, "limit", LOG_LIMIT, least=1, most=LOG_LIMIT_MOST), LOG_LIMIT_BYTES


def _wrong(name: str, what: str) -> Invalid:
    return Invalid(f"{name}: {what}", fields={name: what})
