"""A job's output onto ours: the same bytes, stdout to stdout and stderr to stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from mags.cli import terminal
from mags.wire import entry_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import BinaryIO, Literal


class OutputClosed(Exception):
    """Whoever read our output has gone."""


class Output:
    """Writes entries and remembers whether the cursor stands at the beginning of a line."""

    def __init__(self, *, timestamps: bool = False) -> None:
        self._timestamps = timestamps
        self.unit: Literal["line", "record"] = "line" if timestamps else "record"
        self._open_lines = {"stdout": False, "stderr": False}

    def write(self, entries: Iterable[Mapping[str, Any]]) -> None:
        last: BinaryIO | None = None
        try:
            for entry in entries:
                name = "stderr" if entry.get("stream") == "stderr" else "stdout"
                stream = sys.stderr.buffer if name == "stderr" else sys.stdout.buffer
                if last is not None and stream is not last:
                    last.flush()  # keeps the order where both go to one terminal
                last = stream
                if entry.get("source") == "platform":
                    self.note(str(entry["message"]).removeprefix("mags: ").removesuffix("\n"))
                    continue
                self._write_entry(stream, name, entry)
            if last is not None:
                last.flush()
        except BrokenPipeError:
            terminal.silence_stdout()
            raise OutputClosed from None

    def _write_entry(self, stream: BinaryIO, name: str, entry: Mapping[str, Any]) -> None:
        data = entry_bytes(entry)
        if self._timestamps and not self._open_lines[name]:
            data = f"{terminal.printable(entry.get('timestamp', ''))} ".encode() + data
        self._open_lines[name] = not data.endswith(b"\n")
        stream.write(data)

    def note(self, text: str) -> None:
        """A line by Mags, on a line of its own even after output without a newline."""
        sys.stdout.flush()
        is_shared = sys.stderr.isatty() and (sys.stdout.isatty() or self._open_lines["stderr"])
        if is_shared and any(self._open_lines.values()):
            click.echo(err=True)
            self._open_lines = dict.fromkeys(self._open_lines, False)
        terminal.note(text)


class JsonOutput(Output):
    """Writes each entry as a line of JSON."""

    def __init__(self) -> None:
        super().__init__(timestamps=True)

    def write(self, entries: Iterable[Mapping[str, Any]]) -> None:
        try:
            for entry in entries:
                sys.stdout.write(json.dumps(entry) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            terminal.silence_stdout()
            raise OutputClosed from None
