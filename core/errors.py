"""The root of every error that the API answers. An error says what happened and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class MagsError(Exception):
    """An expected failure. Subclasses set `code` and `status`; raising sets the words.

    On an instance `code` and `status` are what goes out, also where the raiser gave its own.
    `fields` maps an input field to what is wrong with it. `retryable` says that the very same
    request may succeed later; `retry_after_s` says when.
    """

    code: str = "error"
    status: int = 500
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
        status: int = 0,
        retry_after_s: float | None = None,
    ) -> None:
        self.message = message or self.default_message
        self.remediation = remediation or self.default_remediation
        self.retryable = self.default_retryable if retryable is None else retryable
        self.fields = dict(fields or {})
        self.code = code or type(self).code
        self.status = status or type(self).status
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


class CsrfFailed(Forbidden):
    code = "csrf_failed"
    default_message = "The CSRF token is missing or wrong."
    default_remediation = "Reload the page; scripts should use a bearer token instead of a cookie."


class NotFound(MagsError):
    code = "not_found"
    status = 404
    default_message = "There is no such thing here."
    default_remediation = "Check the name or id; it must be one of your own."


class MethodNotAllowed(MagsError):
    code = "method_not_allowed"
    status = 405
    default_remediation = "The header Allow names the methods of this address."


class NotAcceptable(MagsError):
    code = "not_acceptable"
    status = 406
    default_remediation = "Accept application/json."


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


class UnsupportedMediaType(MagsError):
    code = "unsupported_media_type"
    status = 415
    default_remediation = "Send JSON with `Content-Type: application/json`."


class Throttled(MagsError):
    code = "throttled"
    status = 429
    default_message = "Too many requests."
    default_remediation = "Wait for the number of seconds in Retry-After, then go on more slowly."
    default_retryable = True


class Internal(MagsError):
    code = "internal"
    status = 500
    default_message = "The server failed."
    default_remediation = "Tell an administrator of this server the request_id; its log says more."


class Unavailable(MagsError):
    code = "unavailable"
    status = 503
    default_message = "The server cannot answer this at the moment."
    default_remediation = "Try again in a few seconds."
    default_retryable = True
