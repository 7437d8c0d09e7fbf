"""The librarian goes on, whatever an image does to it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hostagent import librarian
from hostagent.client import Client
from hostagent.config import Config
from hostagent.errors import AgentError
from hostagent.librarian import Librarian
from hostagent.library import Library


class BreaksOnce(Library):
    """Its first look at the registry's images ends with `error`."""

    def __init__(self, root: Path, error: Exception) -> None:
        super().__init__(root, Client("http://127.0.0.1:1"))
        self._error = error
        self._looks = 0
        self.looked_again = asyncio.Event()

    async def keep_up(self, *, may_publish: bool) -> list[str]:
        self._looks += 1
        if self._looks == 1:
            raise self._error
        self.looked_again.set()
        return []


@pytest.mark.parametrize("error", [AgentError("the store is away"), OSError(28, "full"), KeyError(15)])
async def test_a_failure_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(librarian, "RETRY_S", 0.01)
    library = BreaksOnce(tmp_path, error)
    library.learn([])
    running = asyncio.create_task(Librarian(Config(image_publish_s=0), library).run())
    await asyncio.wait_for(library.looked_again.wait(), 10)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
