"""The id of the HTTP request under way: in the answer's header, in error bodies, in log lines."""

from __future__ import annotations

import logging
import re
import secrets
from contextvars import ContextVar

HEADER = "X-Request-Id"
_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{7,63}")  # a caller's id goes into our logs
_current: ContextVar[str] = ContextVar("request_id", default="")


def request_id() -> str:
    """The present request's id, or an empty string outside of a request."""
    return _current.get()


def begin(offered: str | None) -> str:
    """Adopt the caller's id if it is sane, else make one."""
    made = offered if offered and _SANE.fullmatch(offered) else secrets.token_hex(8)
    _current.set(made)
    return made


class RequestIdFilter(logging.Filter):
    """Gives every log record a `request_id`."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = _current.get() or "-"
        return True
