"""What a security event tells of."""

from __future__ import annotations

from enum import StrEnum


class EventKind(StrEnum):
    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"  # nobody is its user where it is not known whom they meant to be
    SIGNED_OUT = "signed_out"
    SIGNED_OUT_EVERYWHERE = "signed_out_everywhere"
    CONFIRMED = "confirmed"  # by somebody who was signed in, that it is them
    CONFIRM_FAILED = "confirm_failed"
    ACCOUNT_CREATED = "account_created"
    PROFILE_CHANGED = "profile_changed"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a kind of event
    IDENTITY_LINKED = "identity_linked"
    IDENTITY_UNLINKED = "identity_unlinked"
    TOKEN_CREATED = "token_created"  # noqa: S105
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    CLI_AUTHORISED = "cli_authorised"
    CLI_DENIED = "cli_denied"
    USER_SUSPENDED = "user_suspended"
    USER_RESTORED = "user_restored"
    INVITATION_CREATED = "invitation_created"
    INVITATION_ACCEPTED = "invitation_accepted"
