"""The root of every error that the API answers. An error says what happened and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class MagsError(Exception):
    """An expected failure. Subclasses set `code` and `status`; raising sets the words.

    `fields` maps an input field to what is wrong with it. `retryable` says that the very same
    request may succeed later; `retry_after_s` says when.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    default_message: ClassVar[str] = "The request failed."
    default_remediation: ClassVar[str] = ""
    default_retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str = "",
        *,
        remediation: str = "",
        retryable: bool | None = None,
        fields: Mapping[str, str] | None = None,
        code: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        self.message = message or self.default_message
        self.remediation = remediation or self.default_remediation
        self.retryable = self.default_retryable if retryable is None else retryable
        self.fields = dict(fields or {})
        self.slug = code or self.code
        self.retry_after_s = retry_after_s
        super().__init__(self.message)


class Invalid(MagsError):
    code = "invalid"
    status = 400
    default_message = "The request is not valid."
    default_remediation = "Correct the request and send it again."


class Unauthorized(MagsError):
    code = "unauthorized"
    status = 401
    default_message = "This call needs a token."
    default_remediation = "Send the header `Authorization: Bearer <token>`."


class Forbidden(MagsError):
    code = "forbidden"
    status = 403
    default_message = "You may not do this."
    default_remediation = "Ask an administrator of this server."


class NotFound(MagsError):
    code = "not_found"
    status = 404
    default_message = "There is no such thing here."
    default_remediation = "Check the name or id; it must be one of your own."


class Conflict(MagsError):
    code = "conflict"
    status = 409
    default_message = "The present state does not allow this."
    default_remediation = "Look at the present state and decide again."


class TooLarge(MagsError):
    code = "too_large"
    status = 413
    default_message = "The request body is too large."
    default_remediation = "Send less in one request."


class Throttled(MagsError):
    code = "throttled"
    status = 429
    default_message = "Too many requests."
    default_remediation = "Wait for the number of seconds in Retry-After, then go on more slowly."
    default_retryable = True


class Unavailable(MagsError):
    code = "unavailable"
    status = 503
    default_message = "The server cannot answer this at the moment."
    default_remediation = "Try again in a few seconds."
    default_retryable = True
