"""How `mags login` gets a token that nobody types: by a browser here, or by a code typed on another machine.

Both end at `POST /auth/cli/token`. From a browser a one-time code comes back to a port of ours at 127.0.0.1,
which is of use only with the verifier that stays here (PKCE).
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import socket
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import click

from mags import network, wire
from mags.cli import terminal
from mags.errors import MagsError

if TYPE_CHECKING:
    from collections.abc import Callable

LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
CALLBACK = "/callback"
BROWSER_S = 300.0  # for the person to consent
ANSWER_S = 30.0
REQUEST_LIMIT = 16 * 1024  # bytes of what a browser asks our port


def can_open_browser() -> bool:
    """Whether there is likely one that the person sees."""
    if os.environ.get("BROWSER"):
        return True
    if os.environ.get("SSH_CONNECTION"):
        return False
    if sys.platform.startswith("linux"):
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True


def by_browser(server: str) -> str | None:
    """The token; None where no browser could be opened."""
    import webbrowser

    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
    challenge = _challenge(verifier)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        redirect = f"http://127.0.0.1:{listener.getsockname()[1]}{CALLBACK}"
        query = {
            "redirect_uri": redirect,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **_machine(),
        }
        address = f"{server}/cli/login/?{urlencode(query)}"
        click.echo(f"Your code is {click.style(comparison_code(challenge), bold=True)}", err=True)
        terminal.note("compare it with the one on the page that opens, and consent there")
        terminal.note(f"if no page opens: {address}")
        if not webbrowser.open(address):
            return None
        answer = _wait_for_answer(listener, state, server)
    if "code" not in answer:
        raise MagsError(
            "The login was denied on the page.",
            code="access_denied",
            remediation="Run `mags login` again if that was a mistake.",
        )
    given = {"code": answer["code"], "verifier": verifier, "redirect_uri": redirect}
    return wire.text_of(post(server, "/auth/cli/token", given), "token", server)


def by_device(server: str, sleep: Callable[[float], None] = time.sleep) -> str:
    """The token, once somebody has typed our code."""
    begun = post(server, "/auth/cli/device", _machine())
    where = terminal.printable(begun["verification_uri"])
    click.echo(f"Open {where} in any browser and enter the code", err=True)
    click.echo(f"  {click.style(terminal.printable(begun['user_code']), bold=True)}", err=True)
    terminal.note(f"waiting; the code holds for {begun['expires_in'] // 60} minutes")
    interval_s = float(begun["interval"])
    while True:
        sleep(interval_s)
        try:
            answer = post(server, "/auth/cli/token", {"device_code": begun["device_code"]})
        except MagsError as error:
            if error.code == "slow_down":
                interval_s += 5
            elif error.code != "authorization_pending" and not error.retryable:
                raise
            continue
        return wire.text_of(answer, "token", server)


def post(server: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """One call without a token."""
    import httpcore

    request = wire.Request("POST", path, body=body)
    headers = {name: value for name, value in request.headers("").items() if name != "Authorization"}
    context = network.tls_context() if server.startswith("https:") else None
    proxy = network.proxy_for(server)
    pool = (
        httpcore.HTTPProxy(proxy.url, proxy_auth=proxy.auth, ssl_context=context)
        if proxy
        else httpcore.ConnectionPool(ssl_context=context)
    )
    timeouts = {"connect": ANSWER_S, "read": ANSWER_S, "write": ANSWER_S, "pool": None}
    with pool:
        try:
            response = pool.request(
                "POST", server + request.target(), headers=headers, content=request.content(),
                extensions={"timeout": timeouts},
            )  # fmt: skip
        except (*network.FAILURES, OSError) as error:
            raise network.failure(error, server) from error
    return wire.parse_answer(response.status, network.header_dict(response.headers), response.content, server)


def comparison_code(challenge: str) -> str:
    """What the page shows as well: the server makes it of the challenge in the same way."""
    number = int.from_bytes(hashlib.sha256(challenge.encode()).digest()[:8], "big")
    letters = "".join(LETTERS[number // len(LETTERS) ** place % len(LETTERS)] for place in range(8))
    return f"{letters[:4]}-{letters[4:]}"


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _machine() -> dict[str, str]:
    names = {"linux": "Linux", "darwin": "macOS", "win32": "Windows"}
    host = terminal.printable(socket.gethostname())[:100] or "a machine without a name"
    return {"host_name": host, "system": names.get(sys.platform, sys.platform)}


def _wait_for_answer(listener: socket.socket, state: str, server: str) -> dict[str, str]:
    """What the page sends here. Whatever else asks this port gets 404 and changes nothing."""
    deadline = time.monotonic() + BROWSER_S
    while (left_s := deadline - time.monotonic()) > 0:
        listener.settimeout(left_s)
        try:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                answer = _answer_of(_head(connection), state)
                connection.sendall(_reply(answer, server))
        except OSError:  # with it what took too long
            continue
        if answer is not None:
            return answer
    raise MagsError(
        "Nobody consented within five minutes.",
        code="expired_token",
        remediation="Run `mags login` again; --no-browser shows a code to type on another machine.",
    )


def _head(connection: socket.socket) -> bytes:
    """All of a request without a body, so that its sender is not cut off."""
    received = b""
    while b"\r\n\r\n" not in received and len(received) < REQUEST_LIMIT:
        piece = connection.recv(4096)
        if not piece:
            break
        received += piece
    return received


def _answer_of(head: bytes, state: str) -> dict[str, str] | None:
    method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    parts = urlsplit(rest.partition(" ")[0])
    answer = dict(parse_qsl(parts.query))
    is_ours = secrets.compare_digest(answer.get("state", "").encode(), state.encode())
    return answer if method == "GET" and parts.path == CALLBACK and is_ours else None


def _reply(answer: dict[str, str] | None, server: str) -> bytes:
    if answer is None:
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    where = f"{server}/cli/done/" + ("" if "code" in answer else "?denied=1")
    head = f"HTTP/1.1 303 See Other\r\nLocation: {where}\r\nReferrer-Policy: no-referrer\r\n"
    return (head + "Content-Length: 0\r\nConnection: close\r\n\r\n").encode()
