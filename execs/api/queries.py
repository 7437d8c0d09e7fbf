"""What may stand after the question mark."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter

from core.errors import Invalid
from execs.models import Exec
from execwire.frames import Stream
from jobs.api import queries

OFFSET = OpenApiParameter("offset", int, description="Where in the stream to begin, in bytes.", default=0)
STREAM = OpenApiParameter("stream", str, enum=["stdout", "stderr"], default="stdout")
WAIT = queries.WAIT

_STREAMS = {"": Stream.STDOUT, "stdout": Stream.STDOUT, "stderr": Stream.STDERR}


def page_of(query: queries.Query) -> tuple[Stream, int, float]:
    """Which stream, from where, and how long to wait for it."""
    name = (query.get("stream") or "").lower()
    if name not in _STREAMS:
        raise Invalid("stream: must be stdout or stderr", fields={"stream": "must be stdout or stderr"})
    offset = queries.whole(query, "offset", 0, most=queries.OFFSET_LIMIT - 1)
    return _STREAMS[name], offset, queries.wait_s(query)


def gone_words(row: Exec) -> str:
    """Why there is no output, and what is known of it."""
    words = "The exec's sandbox has ended, and its output with it."
    if row.stdout_bytes is None:
        return words
    sizes = f"{row.stdout_bytes} bytes of stdout, {row.stderr_bytes} of stderr"
    return f"{words} It ended as {row.reason}, exit code {row.exit_code}: {sizes}."
