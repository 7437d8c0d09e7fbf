"""What becomes of logins of the command line."""

from __future__ import annotations

from enum import StrEnum


class CliLoginState(StrEnum):
    PENDING = "pending"  # a command waits under a code; a person moves it on, or its time ends
    APPROVED = "approved"  # a person has consented; the command fetches its token
    DENIED = "denied"  # a person has refused; final
    SPENT = "spent"  # the token was fetched, or somebody tried with a wrong proof; final
