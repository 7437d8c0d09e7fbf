"""What can go wrong with people and tokens."""

from __future__ import annotations

from core.errors import Conflict, NotFound, Unauthorized


class BadToken(Unauthorized):
    code = "bad_token"
    default_message = "This token is not known."
    default_remediation = "Check it for missing characters, or make a new one in the dashboard."


class TokenExpired(Unauthorized):
    code = "token_expired"
    default_message = "This token has expired."
    default_remediation = "Make a new token in the dashboard."


class TokenRevoked(Unauthorized):
    code = "token_revoked"
    default_message = "This token was revoked."
    default_remediation = "Make a new token in the dashboard."


class UserInactive(Unauthorized):
    code = "user_inactive"
    default_message = "The owner of these credentials is not active."
    default_remediation = "Ask an administrator of this server."


class EmailTaken(Conflict):
    code = "email_taken"
    default_message = "There is a user with this e-mail address already."
    default_remediation = "Use another address."


class NoSuchToken(NotFound):
    code = "no_such_token"
    default_message = "There is no such token."
    default_remediation = "`GET /api/v1/auth/tokens` lists yours."
