"""Why a connection is refused, as the gateway is told: an HTTP status, a code, a sentence."""

from __future__ import annotations


class Refused(Exception):
    """The answer to a CONNECT that is not 200. `code` is part of the contract."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def bad_request(message: str) -> Refused:
    return Refused(400, "bad_request", message)


def bad_ticket(message: str) -> Refused:
    return Refused(407, "bad_ticket", message)


def no_sandbox(sandbox_id: str) -> Refused:
    return Refused(404, "no_sandbox", f"sandbox {sandbox_id} does not run on this host")
