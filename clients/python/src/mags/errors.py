"""The one exception of the SDK."""

from __future__ import annotations


class MagsError(Exception):
    """A call did not do what it was asked to.

    `status` is the HTTP status, None when no answer came. `code` is a stable slug: the server's,
    or one of ours (`unreachable`, `timeout`, `redirected`, `bad_answer`, `not_logged_in`,
    `bad_config`, `bad_argument`). `remediation` says what to do about it, `request_id` is the
    server's name for the failed request, `fields` says what is wrong with each input.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str = "error",
        remediation: str = "",
        request_id: str | None = None,
        retryable: bool = False,
        fields: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.remediation = remediation
        self.request_id = request_id
        self.retryable = retryable
        self.fields = fields or {}

    @property
    def status_code(self) -> int | None:
        """`status`, under the name that the published client gave it."""
        return self.status
