"""Why there is no exec to be connected to."""

from __future__ import annotations


class ExecError(Exception):
    """`code` is part of the contract: docs/reference/exec-protocol.md."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
