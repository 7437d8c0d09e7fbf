"""What can go wrong with people and tokens."""

from __future__ import annotations

from core.errors import Conflict, Forbidden, Invalid, NotFound, Unauthorized


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


class MissingScope(Forbidden):
    code = "missing_scope"
    default_message = "This token may not do this."
    default_remediation = "Use a token with the scope, made in the dashboard or by `mags token create`."


class ConfirmationNeeded(Forbidden):
    code = "confirmation_needed"
    default_message = "This needs a sign-in that is not long ago."
    default_remediation = "Confirm that it is you at /confirm/, then try again."


class OutsideWorkspace(Forbidden):
    code = "outside_workspace"
    default_message = "This token is for one workspace only, and this is outside of it."
    default_remediation = "Use a token for all workspaces, or name the token's own."


class CliLoginPending(Invalid):
    code = "authorization_pending"
    default_message = "Nobody has decided on this login yet."
    default_remediation = "Ask again after the interval."


class CliLoginTooFast(Invalid):
    code = "slow_down"
    default_message = "This came too soon after the last question."
    default_remediation = "Wait five seconds longer between two questions from now on."


class CliLoginDenied(Forbidden):
    code = "access_denied"
    default_message = "The login was denied on the page."
    default_remediation = "Run `mags login` again if that was a mistake."


class CliLoginExpired(Invalid):
    code = "expired_token"
    default_message = "Nobody entered the code in time."
    default_remediation = "Run `mags login` again."


class CliLoginRefused(Invalid):
    code = "invalid_grant"
    default_message = "This code is not known, was used already, or has expired."
    default_remediation = "Run `mags login` again."


class NoSuchUserCode(NotFound):
    code = "no_such_user_code"
    default_message = "No command line waits under this code."
    default_remediation = "Check it for mistakes; `mags login --no-browser` shows a new one."


class EmailTaken(Conflict):
    code = "email_taken"
    default_message = "There is a user with this e-mail address already."
    default_remediation = "Use another address."


class NoSuchToken(NotFound):
    code = "no_such_token"
    default_message = "There is no such token."
    default_remediation = "`GET /api/v1/auth/tokens` lists yours."


class NoSuchIdentity(NotFound):
    code = "no_such_identity"
    default_message = "No account there is linked."
    default_remediation = "Reload the page to see what is."


class LastSignInMethod(Conflict):
    code = "last_sign_in_method"
    default_message = "This is the only way to sign in to this account."
    default_remediation = "Set a password or link another account first."
