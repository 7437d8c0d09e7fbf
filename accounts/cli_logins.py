"""How the command line gets a token without anybody typing one: somebody who is signed in consents on a page.

*Loopback*: the command opens the page in a browser on the same machine, and the page sends a one-time code to
a port that the command listens on at 127.0.0.1 (RFC 8252, with PKCE). *Device*: the command shows a code that
is typed on the page on any machine, and asks again and again whether somebody has (RFC 8628).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.audit import harmless, note
from accounts.errors import (
    CliLoginDenied,
    CliLoginExpired,
    CliLoginPending,
    CliLoginRefused,
    CliLoginTooFast,
    NoSuchUserCode,
)
from accounts.event_kinds import EventKind
from accounts.models import ApiToken, CliLogin, User
from accounts.services import token_create
from accounts.states import CliLoginState

CODE_S = 60  # from the consent until the command has its token
DEVICE_S = 600
INTERVAL_S = 5  # between two questions of a command; more after each that came too early
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, so no words; nothing that looks like a digit
USER_CODE = re.compile(f"[{LETTERS}]{{8}}")  # 34 bits, guessed at 10 a minute for 10 minutes
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
REDIRECT = re.compile(r"http://127\.0\.0\.1:([1-9][0-9]{3,4})/[A-Za-z0-9/_-]{0,100}")
KEPT = timedelta(days=1)  # rows of logins that are over


@dataclass(frozen=True, slots=True)
class Asking:
    """The command that asks, as it describes itself. Nobody has checked it."""

    host_name: str
    system: str
    address: str

    @classmethod
    def told(cls, host_name: str, system: str, address: str) -> Asking:
        """On the page of consent these words must not turn the ones around them."""
        return cls(harmless(host_name, 100), harmless(system, 60), address)


@dataclass(frozen=True, slots=True)
class TokenWish:
    """What the person lets the command have."""

    name: str
    expires_at: datetime | None
    scopes: tuple[str, ...]
    workspace_name: str = ""


def comparison_code(challenge: str) -> str:
    """What terminal and page both show: of the challenge, so nobody can show another one's."""
    digest = hashlib.sha256(challenge.encode()).digest()
    number = int.from_bytes(digest[:8], "big")
    return shown("".join(LETTERS[number // len(LETTERS) ** place % len(LETTERS)] for place in range(8)))


def shown(user_code: str) -> str:
    return f"{user_code[:4]}-{user_code[4:]}"


def is_loopback(redirect_uri: str) -> bool:
    found = REDIRECT.fullmatch(redirect_uri)
    return found is not None and 1024 <= int(found[1]) < 65_536


def loopback_consent(
    user: User, asking: Asking, challenge: str, redirect_uri: str, wish: TokenWish, request: HttpRequest
) -> str:
    """Somebody agrees that the command on their own machine gets such a token. Answers the code for it."""
    code = secrets.token_urlsafe(32)
    note(user, EventKind.CLI_AUTHORISED, request, host=asking.host_name, token=wish.name)
    CliLogin.objects.create(
        digest=_digest(code), challenge=challenge, redirect_uri=redirect_uri, **_said(asking),
        **_agreed(user, wish), expires_at=timezone.now() + timedelta(seconds=CODE_S),
    )  # fmt: skip
    return code


def loopback_deny(user: User, asking: Asking, request: HttpRequest) -> None:
    note(user, EventKind.CLI_DENIED, request, host=asking.host_name)


def device_begin(asking: Asking) -> tuple[str, str]:
    """A command waits for somebody to consent. Answers its secret, and the code that is to be typed."""
    device_code = secrets.token_urlsafe(32)
    user_code = "".join(secrets.choice(LETTERS) for _ in range(8))
    CliLogin.objects.create(
        digest=_digest(device_code), user_code_digest=_user_code_digest(user_code), **_said(asking),
        expires_at=timezone.now() + timedelta(seconds=DEVICE_S), interval_s=INTERVAL_S,
    )  # fmt: skip
    return device_code, shown(user_code)


def device_find(typed: str) -> CliLogin:
    """The command that waits under this code, typed with or without its dash, in whatever case."""
    code = re.sub(r"[\s-]", "", typed).upper()
    if not USER_CODE.fullmatch(code):
        raise NoSuchUserCode
    waiting = Q(state=CliLoginState.PENDING, expires_at__gt=timezone.now())
    found = CliLogin.objects.filter(waiting, user_code_digest=_user_code_digest(code)).first()
    if found is None:
        raise NoSuchUserCode
    return found


def device_consent(login: CliLogin, user: User, wish: TokenWish, request: HttpRequest) -> None:
    _decide(login, **_agreed(user, wish))
    note(user, EventKind.CLI_AUTHORISED, request, host=login.host_name, token=wish.name)


def device_deny(login: CliLogin, user: User, request: HttpRequest) -> None:
    _decide(login, state=CliLoginState.DENIED, owner=user)
    note(user, EventKind.CLI_DENIED, request, host=login.host_name)


def _decide(login: CliLogin, **changes: object) -> None:
    waiting = CliLogin.objects.filter(pk=login.pk, state=CliLoginState.PENDING, expires_at__gt=timezone.now())
    if not waiting.update(**changes):
        raise NoSuchUserCode


def loopback_token(code: str, verifier: str, redirect_uri: str, request: HttpRequest) -> tuple[ApiToken, str]:
    """The token for a code, once. A wrong verifier spends the code too: whoever has it stole it."""
    login = CliLogin.objects.filter(digest=_digest(code), user_code_digest=None).first()
    if login is None or login.expires_at <= timezone.now():
        raise CliLoginRefused
    is_right = (
        VERIFIER.fullmatch(verifier) is not None
        and hmac.compare_digest(challenge_of(verifier), login.challenge)
        and redirect_uri == login.redirect_uri
    )
    if not is_right:
        _spend(login)
        raise CliLoginRefused
    return _mint(login, request)


def device_token(device_code: str, request: HttpRequest) -> tuple[ApiToken, str]:
    """The token that a command waits for, once. Raises why there is none (yet)."""
    login = CliLogin.objects.filter(digest=_digest(device_code)).exclude(user_code_digest=None).first()
    if login is None:
        raise CliLoginRefused
    now = timezone.now()
    if login.expires_at <= now:
        raise CliLoginExpired
    if login.state == CliLoginState.DENIED:
        raise CliLoginDenied
    if login.state == CliLoginState.PENDING:
        _note_question(login, now)
        raise CliLoginPending(retry_after_s=login.interval_s)
    return _mint(login, request)


def challenge_of(verifier: str) -> str:
    """Method S256 of RFC 7636."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _note_question(login: CliLogin, now: datetime) -> None:
    """Raises CliLoginTooFast, and wants longer pauses from then on, where the last one is not long ago."""
    asked = CliLogin.objects.filter(pk=login.pk)
    # A network may bring two questions closer together than they were sent.
    if login.asked_at is not None and now - login.asked_at < timedelta(seconds=login.interval_s - 1):
        asked.update(asked_at=now, interval_s=login.interval_s + INTERVAL_S)
        raise CliLoginTooFast(retry_after_s=login.interval_s + INTERVAL_S)
    asked.update(asked_at=now)


def _spend(login: CliLogin) -> bool:
    """Whether it was this call that did."""
    approved = CliLogin.objects.filter(pk=login.pk, state=CliLoginState.APPROVED)
    return bool(approved.update(state=CliLoginState.SPENT))


@transaction.atomic
def _mint(login: CliLogin, request: HttpRequest) -> tuple[ApiToken, str]:
    owner = login.owner
    if owner is None or not owner.is_active or not _spend(login):
        raise CliLoginRefused
    return token_create(
        owner, login.token_name, login.token_expires_at, scopes=login.token_scopes,
        workspace_name=login.token_workspace, request=request,
    )  # fmt: skip


def _agreed(user: User, wish: TokenWish) -> dict[str, object]:
    return {
        "state": CliLoginState.APPROVED,
        "owner": user,
        "token_name": wish.name,
        "token_expires_at": wish.expires_at,
        "token_scopes": list(wish.scopes),
        "token_workspace": wish.workspace_name,
    }


def _said(asking: Asking) -> dict[str, str]:
    return {"host_name": asking.host_name, "system": asking.system, "address": asking.address}


def forget_old() -> None:
    """Logins that are over; both kinds, and however few there are of them."""
    CliLogin.objects.filter(expires_at__lt=timezone.now() - KEPT).delete()


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def _user_code_digest(code: str) -> str:
    # With a key of the server's: whoever has a copy of the database could try out 34 bits.
    return salted_hmac("accounts.cli_logins", code, algorithm="sha256").hexdigest()
