"""What goes wrong between a visitor and a sandbox. Each becomes an answer: status, code, remedy."""

from __future__ import annotations


class GatewayError(Exception):
    """Root of all."""

    status = 502
    code = "bad_gateway"
    title = "This site cannot be reached"
    remediation = ""
    retry_after_s: int | None = None  # set where the same request may work later

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadRequest(GatewayError):
    """Nothing that a gateway may pass on."""

    status, code, title = 400, "bad_request", "Bad request"
    remediation = "Send a well-formed HTTP/1.1 request with one Host header."


class Misdirected(GatewayError):
    """The host is none of ours."""

    status, code, title = 421, "misdirected_request", "No such site"
    remediation = "Use the URL that Mags shows for the sandbox."


class RequestTimeout(GatewayError):
    """The visitor stopped sending."""

    status, code, title = 408, "request_timeout", "The request did not arrive"
    remediation = "Send the request again."


class ExpectationFailed(GatewayError):
    status, code, title = 417, "expectation_failed", "Expectation failed"
    remediation = "Leave out the Expect header."


class NoSuchLabel(GatewayError):
    status, code, title = 404, "no_such_url", "There is nothing here"
    remediation = "Check the URL: the sandbox or alias may have been deleted."


class NotRunning(GatewayError):
    """The sandbox did not come up in time."""

    status, code, title = 503, "sandbox_not_running", "The sandbox is not running yet"
    remediation = "Try again in a moment."
    retry_after_s: int | None = 5


class Stopped(NotRunning):
    """The sandbox does not come up by being visited. The control plane's words say what helps."""

    code, title = "sandbox_stopped", "The sandbox is stopped"
    remediation = ""
    retry_after_s = None


class TooManyRequests(GatewayError):
    """A limit of this gateway."""

    status, code, title = 503, "gateway_busy", "Too many connections"
    remediation = "Try again in a moment."
    retry_after_s = 2


class ControlPlaneAway(GatewayError):
    """Nobody can tell where the sandbox is."""

    status, code, title = 503, "control_plane_away", "Mags does not answer"
    remediation = "Try again in a moment."
    retry_after_s = 5


class HostAway(GatewayError):
    """The host's data port does not answer."""

    status, code, title = 502, "host_away", "The sandbox's host does not answer"
    remediation = "Try again in a moment."
    retry_after_s = 5


class RefusedByHost(GatewayError):
    """The data port's own refusal: `code` is one of its codes (docs/reference/data-port.md)."""

    remediation = "Try again in a moment."
    retry_after_s = 5

    def __init__(self, status: int, code: str, message: str, sandbox_id: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.sandbox_id = sandbox_id


class NothingListens(GatewayError):
    status, code, title = 502, "nothing_listens", "Nothing listens here"
    remediation = "Start a server on this port in the sandbox."


class NoAnswer(GatewayError):
    """The server inside took the request and did not answer it properly."""

    status, code, title = 502, "no_answer", "The server in the sandbox did not answer"
    remediation = "Look at what the server in the sandbox logs."


class AnswerTimeout(GatewayError):
    status, code, title = 504, "answer_timeout", "The server in the sandbox takes too long"
    remediation = "Look at what the server in the sandbox does."
