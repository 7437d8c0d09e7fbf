"""The OpenID Connect providers that people may sign in with (docs/decisions/1210).

Somebody's identity there is issuer and subject: rows of `UserSocialAuth` have the subject as `uid`, and a
`provider` that stands for exactly one issuer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.urls import reverse
from social_core.backends.open_id_connect import OpenIdConnectAuth
from social_core.exceptions import AuthResponseError

from accounts.wishes import Wish

# Google itself says it with and without the scheme.
GOOGLE_ISSUERS = ("https://accounts.google.com", "accounts.google.com")


class OpenIdConnect(OpenIdConnectAuth[HttpResponse]):
    """The provider of `MAGS_OIDC_ISSUER`."""

    # Another issuer is another provider: its subjects are other people.
    name = f"oidc-{hashlib.sha256(settings.OIDC_ISSUER.encode()).hexdigest()[:16]}"
    DEFAULT_USE_PKCE = True
    confirm_prompt = "login"  # has the provider ask, although somebody is signed in there
    wish = Wish()

    @property
    def issuer(self) -> str:
        return str(settings.OIDC_ISSUER)

    @property
    def issuers(self) -> Sequence[str]:
        """What ID tokens may name."""
        return (self.issuer,)

    def get_key_and_secret(self) -> tuple[str, str]:
        return settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET

    def oidc_endpoint(self) -> str:
        return self.issuer.rstrip("/")

    def id_token_issuer(self) -> Any:
        """As set up, not as the provider's own document says: it would vouch for itself."""
        return self.issuers

    def auth_params(self, state: str | None = None) -> dict[str, Any]:
        params: dict[str, Any] = super().auth_params(state)  # type: ignore[no-untyped-call]
        if self.wish.confirms is not None:
            params["prompt"] = self.confirm_prompt
        key = self.transaction_key(str(state))
        self.strategy.session_set(key, {**self.strategy.session_get(key), "wish": asdict(self.wish)})
        return params

    def wish_of_answer(self) -> Wish:
        """Of whom the provider sends back, by their session. Nothing is checked or used up by that."""
        state = self.data.get("state")
        transaction = self.strategy.session_get(self.transaction_key(str(state)))
        return Wish(**transaction["wish"]) if isinstance(transaction, dict) else Wish()

    def user_data(self, access_token: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        told = super().user_data(access_token, *args, **kwargs)
        if not isinstance(told, dict) or told.get("sub") is None:  # if it is there, it has been compared
            raise AuthResponseError(self, claim="sub", code="missing_claim", stage="user_info")
        return told

    def is_authority_on(self, claims: dict[str, Any], domain: str) -> bool:  # noqa: ARG002 - Google's looks
        """Whether this provider knows that its user has their address at the domain to this day."""
        return True


class Google(OpenIdConnect):
    name = "google"
    confirm_prompt = "select_account"  # Google refuses "login"

    @property
    def issuer(self) -> str:
        return str(settings.GOOGLE_ISSUER)

    @property
    def issuers(self) -> Sequence[str]:
        return GOOGLE_ISSUERS if self.issuer in GOOGLE_ISSUERS else (self.issuer,)

    def get_key_and_secret(self) -> tuple[str, str]:
        return settings.GOOGLE_CLIENT_ID, settings.GOOGLE_CLIENT_SECRET

    def is_authority_on(self, claims: dict[str, Any], domain: str) -> bool:
        """Anybody may once have made a private Google account with an address of their employer's. Who has an
        address now Google knows of its own ones, and the operator's Workspace of those in it (`hd`): somebody
        else's could be one whose domain nobody has verified."""
        of_workspace = str(claims.get("hd") or "").lower()
        return domain in {"gmail.com", "googlemail.com"} or of_workspace in settings.SIGN_IN_DOMAINS


@dataclass(frozen=True, slots=True)
class Provider:
    """One that is set up. `slug` is its name in addresses, `title` on buttons."""

    slug: str
    title: str
    backend: type[OpenIdConnect]

    @property
    def redirect_uri(self) -> str:
        return redirect_uri(self.slug)


def redirect_uri(slug: str) -> str:
    """The address that is to be entered at the provider, to the letter."""
    return f"{settings.PUBLIC_URL}{reverse('dashboard:provider_answer', args=[slug])}"


def providers() -> list[Provider]:
    known = [
        (settings.GOOGLE_CLIENT_ID, Provider("google", "Google", Google)),
        (settings.OIDC_CLIENT_ID, Provider("oidc", settings.OIDC_NAME, OpenIdConnect)),
    ]
    return [provider for client_id, provider in known if client_id]
