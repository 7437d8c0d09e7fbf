"""What is shown to people while they wait. Nothing of it reaches a pipe or a file."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mags.cli.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress

SHOWN_AFTER_S = 0.4  # what is over sooner would only flicker


class Spinner:
    """A line on the terminal that says what is waited for and for how long; it goes away again."""

    def __init__(self, words: str) -> None:
        self._words = printable(words)
        self._progress: Progress | None = None
        self._timer = threading.Timer(SHOWN_AFTER_S, self._show)
        self._timer.daemon = True

    def start(self) -> None:
        if sys.stderr.isatty():
            self._timer.start()

    def stop(self) -> None:
        """At once; any number of times."""
        self._timer.cancel()
        if self._timer.ident is not None:
            self._timer.join()
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        progress.add_task(self._words, total=None)
        self._progress = progress
        progress.start()


@contextmanager
def waiting(words: str) -> Iterator[None]:
    spinner = Spinner(words)
    spinner.start()
    try:
        yield
    finally:
        spinner.stop()
