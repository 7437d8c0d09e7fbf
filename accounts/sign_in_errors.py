"""Why nobody was signed in (or linked) by a provider."""

from __future__ import annotations

from enum import StrEnum

from accounts.models import User


class Refusal(StrEnum):
    DENIED = "denied"  # by the person, at the provider
    EXPIRED = "expired"  # the answer belongs to no attempt of this browser, or to one that is over
    UNVERIFIED = "unverified"
    DOMAIN = "domain"
    NOT_INVITED = "not_invited"
    INACTIVE = "inactive"
    EMAIL_TAKEN = "email_taken"  # by an account that this identity is not linked to
    IDENTITY_TAKEN = "identity_taken"  # linked to another account
    OTHER_LINKED = "other_linked"  # to this account, of the same provider
    NOT_LINKED = "not_linked"  # to the account that somebody confirms to be theirs
    OTHER_PERSON = "other_person"  # somebody else has signed in while they were away
    UNAVAILABLE = "unavailable"
    MISCONFIGURED = "misconfigured"  # the provider refuses us, or says what it must not
    THROTTLED = "throttled"


class SignInRefused(Exception):
    """`user` is the account it is about, if one is known; `email` what the provider has verified."""

    def __init__(self, refusal: Refusal, user: User | None = None, email: str = "") -> None:
        self.refusal = refusal
        self.user = user
        self.email = email
        super().__init__(refusal)
