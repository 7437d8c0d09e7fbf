"""Django's SQLite backend, with a queue for write transactions inside the process.

SQLite waits for its one write lock by sleeping for up to 100 ms and looking again. Threads of one process
wait here instead, and each goes on as soon as the one before it is done: with 8 clients the slowest
twentieth of submits took half as long (docs/decisions/0103). Other processes are kept out by SQLite itself.
"""

from __future__ import annotations

import threading
from typing import Any

from django.db.backends.sqlite3 import base

turn = threading.Lock()


class DatabaseWrapper(base.DatabaseWrapper):
    """Holds `turn` from BEGIN IMMEDIATE to the end of the transaction."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._has_turn = False

    def _start_transaction_under_autocommit(self) -> None:
        # Who waits here in vain goes on: then SQLite says what is wrong.
        self._has_turn = turn.acquire(timeout=self.settings_dict["OPTIONS"]["timeout"])
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # the stubs leave it out
        except BaseException:
            self._give_turn()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        self._give_turn()  # a commit that failed is rolled back

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._give_turn()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self._give_turn()

    def _give_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            turn.release()
