"""Signing in with an OpenID Connect provider that runs as a process of its own."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings as django_settings
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client
from social_django.models import UserSocialAuth

from accounts.event_kinds import EventKind
from accounts.invitations import invite
from accounts.models import SecurityEvent, User
from tests.accounts import factories
from tests.accounts.oidc import Person, Provider, problem_of

pytestmark = pytest.mark.django_db
HOME = django_settings.LOGIN_REDIRECT_URL
ME = "/api/v1/auth/me"


def events(user: User | None) -> list[str]:
    return list(SecurityEvent.objects.filter(user=user).order_by("id").values_list("kind", flat=True))


def asked(href: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(href).query).items()}


def test_a_new_person_gets_an_account_keyed_by_subject(person: Person) -> None:
    person.provider.knows("ann-1", email="Ann@Example.org", name="Ann")
    assert person.sign_in("ann-1").headers["Location"] == HOME
    user = User.objects.get()
    assert (user.email, user.name, user.has_usable_password()) == ("ann@example.org", "Ann", False)
    identity = UserSocialAuth.objects.get()
    assert (identity.user, identity.provider, identity.uid) == (user, "google", "ann-1")
    assert identity.extra_data == {"email": "ann@example.org"}  # no token of the provider's
    assert person.client.get(ME).json()["email"] == "ann@example.org"
    assert events(user) == [EventKind.ACCOUNT_CREATED, EventKind.SIGNED_IN]


def test_the_same_subject_is_the_same_account_whatever_its_address(person: Person) -> None:
    person.provider.knows("ann-2", email="old@example.org")
    person.sign_in("ann-2")
    person.provider.knows("ann-2", email="new@example.org")
    assert Person(person.provider).sign_in("ann-2").headers["Location"] == HOME
    assert User.objects.get().email == "old@example.org"


def test_pkce_state_nonce_and_redirect_are_sent(person: Person) -> None:
    person.provider.knows("pkce")
    href = person.leave()
    sent = asked(href)
    assert sent["response_type"] == "code"
    assert sent["code_challenge_method"] == "S256"
    assert len(sent["state"]) >= 32
    assert len(sent["nonce"]) >= 32
    assert sent["redirect_uri"] == f"{django_settings.PUBLIC_URL}/login/google/callback/"
    person.come_back(person.consent(href, "pkce"))
    verifier = person.provider.asked_for_token()["code_verifier"]
    digest = hashlib.sha256(verifier.encode()).digest()
    assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == sent["code_challenge"]


def test_it_begins_by_post_with_csrf_only(provider: Provider) -> None:
    browser = Client(enforce_csrf_checks=True)
    assert browser.get("/login/google/").status_code == 405
    assert browser.post("/login/google/").status_code == 403


def test_a_provider_that_is_not_set_up_is_not_there() -> None:
    assert Client().post("/login/google/").status_code == 404
    assert Client().get("/login/oidc/callback/?code=1&state=2").status_code == 404


@pytest.mark.parametrize("change", ["state=forged", "state="])
def test_a_forged_state_signs_nobody_in(person: Person, change: str) -> None:
    person.provider.knows("forged")
    back = urlsplit(person.consent(person.leave(), "forged"))
    answer = person.client.get(f"{back.path}?code={parse_qs(back.query)['code'][0]}&{change}")
    assert problem_of(answer) == "expired"
    assert not User.objects.exists()
    assert events(None) == [EventKind.SIGN_IN_FAILED]
    page = person.client.get(answer.headers["Location"]).content.decode()
    assert "begun in another browser" in page


def test_an_answer_counts_only_in_the_browser_that_asked(person: Person) -> None:
    person.provider.knows("victim")
    back = person.consent(person.leave(), "victim")
    assert problem_of(Person(person.provider).come_back(back)) == "expired"
    assert not User.objects.exists()


def test_a_replayed_answer_signs_nobody_in(person: Person) -> None:
    person.provider.knows("replay")
    back = person.consent(person.leave(), "replay")
    person.come_back(back)
    person.client.logout()
    assert problem_of(person.come_back(back)) == "expired"
    assert "sessionid" not in person.client.session


def test_a_replayed_code_with_a_fresh_state_signs_nobody_in(person: Person) -> None:
    person.provider.knows("code")
    code = parse_qs(urlsplit(person.consent(person.leave(), "code")).query)["code"][0]
    other = Person(person.provider)
    person.come_back(f"/login/google/callback/?code={code}&state={asked(person.leave())['state']}")
    state = asked(other.leave())["state"]
    assert problem_of(other.come_back(f"/login/google/callback/?code={code}&state={state}")) == "expired"


@pytest.mark.parametrize(
    ("lie", "problem"),
    [
        ({"iss": "https://somebody-else.example"}, "misconfigured"),
        ({"aud": ["another client"]}, "misconfigured"),
        ({"nonce": "another"}, "expired"),
        ({"exp": 1}, "expired"),
    ],
)
def test_an_id_token_for_somebody_else_is_refused(person: Person, lie: dict[str, Any], problem: str) -> None:
    person.provider.knows("liar", **lie)  # claims of the user's come last into the token
    assert problem_of(person.sign_in("liar")) == problem
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "claims", [{"email_verified": False}, {"email_verified": None}, {"email": None}, {"email": "a b@c@d"}]
)
def test_only_verified_addresses_count(person: Person, claims: dict[str, Any]) -> None:
    person.provider.knows("unverified", **claims)
    answer = person.sign_in("unverified")
    assert problem_of(answer) == "unverified"
    assert (
        "Google has not verified your e-mail address"
        in person.client.get(answer["Location"]).content.decode()
    )
    assert not User.objects.exists()


def test_denying_at_the_provider_is_said_and_keeps_next(person: Person) -> None:
    href = person.leave(next="/tokens/")
    # The mock forgets the state that RFC 6749 wants here.
    answer = person.come_back(f"{person.deny(href)}&state={asked(href)['state']}")
    assert problem_of(answer) == "denied"
    assert "next=%2Ftokens%2F" in answer["Location"]


def test_a_local_account_is_never_taken_over(person: Person) -> None:
    local = factories.user()
    person.provider.knows("thief", email=local.email.upper())
    answer = person.sign_in("thief")
    assert problem_of(answer) == "email_taken"
    assert not UserSocialAuth.objects.exists()
    assert person.client.get(ME).status_code == 401
    assert events(local) == [EventKind.SIGN_IN_FAILED]
    page = person.client.get(answer["Location"]).content.decode()
    assert "then link Google under Settings" in page
    assert '<details class="login-password" open' in page


def test_another_subject_with_the_same_address_is_refused(person: Person) -> None:
    person.provider.knows("first", email="shared@example.org")
    person.sign_in("first")
    person.provider.knows("second", email="shared@example.org")
    assert problem_of(Person(person.provider).sign_in("second")) == "email_taken"
    assert User.objects.count() == UserSocialAuth.objects.count() == 1


def test_the_same_subject_at_another_provider_is_somebody_else(person: Person) -> None:
    person.provider.knows("same", email="one@example.org")
    person.sign_in("same")
    person.provider.knows("same", email="two@example.org")
    assert Person(person.provider, slug="oidc").sign_in("same")["Location"] == HOME
    assert set(User.objects.values_list("email", flat=True)) == {"one@example.org", "two@example.org"}


def test_domains(person: Person, settings: Any) -> None:
    settings.SIGN_IN_DOMAINS = ["work.example"]
    person.provider.knows("outside", email="a@else.example", hd="else.example")
    assert problem_of(person.sign_in("outside")) == "domain"
    person.provider.knows("below", email="a@evil-work.example", hd="x")
    assert problem_of(person.sign_in("below")) == "domain"
    person.provider.knows("private", email="left@work.example")  # a private account with a work address
    assert problem_of(person.sign_in("private")) == "domain"
    person.provider.knows("foreign", email="b@work.example", hd="somebody-else.example")
    assert problem_of(person.sign_in("foreign")) == "domain"
    person.provider.knows("inside", email="a@work.example", hd="work.example")
    assert person.sign_in("inside")["Location"] == HOME
    invite("guest@else.example")
    person.provider.knows("guest", email="guest@else.example")
    assert Person(person.provider).sign_in("guest")["Location"] == HOME


def test_who_leaves_the_domain_is_refused_the_next_time(person: Person, settings: Any) -> None:
    person.provider.knows("leaver", email="l@work.example", hd="work.example")
    person.sign_in("leaver")
    settings.SIGN_IN_DOMAINS = ["other.example"]
    assert problem_of(Person(person.provider).sign_in("leaver")) == "domain"
    assert events(User.objects.get())[-1] == EventKind.SIGN_IN_FAILED


def test_invitations(person: Person, settings: Any) -> None:
    settings.SIGN_IN_INVITE_ONLY = True
    person.provider.knows("guest-2", email="Guest2@example.org")
    assert problem_of(person.sign_in("guest-2")) == "not_invited"
    assert invite("guest2@Example.org")
    assert not invite("GUEST2@example.org")
    assert person.sign_in("guest-2")["Location"] == HOME
    user = User.objects.get()
    assert EventKind.INVITATION_ACCEPTED in events(user)
    assert Person(person.provider).sign_in("guest-2")["Location"] == HOME


def test_an_account_that_is_switched_off_stays_out(person: Person) -> None:
    person.provider.knows("off")
    person.sign_in("off")
    User.objects.update(is_active=False)
    other = Person(person.provider)
    assert problem_of(other.sign_in("off")) == "inactive"
    assert person.client.get(ME).status_code == 401  # the session from before as well


def test_signing_in_changes_the_session_key(person: Person) -> None:
    planted = SessionStore()
    planted.create()
    person.client.cookies[django_settings.SESSION_COOKIE_NAME] = planted.session_key or ""
    person.provider.knows("fixed")
    person.sign_in("fixed")
    assert person.client.session.session_key != planted.session_key
    thief = Client()
    thief.cookies[django_settings.SESSION_COOKIE_NAME] = planted.session_key or ""
    assert thief.get(ME).status_code == 401


@pytest.mark.parametrize(
    "evil",
    ["//evil.example", "https:evil.example", "\\\\evil.example", "/\\evil.example", "%2F%2Fevil.example",
             "https://evil.example/", "javascript:alert(1)", "\x08//evil.example", "http://testserver@evil.example"],
)  # fmt: skip
def test_next_leads_only_to_this_site(person: Person, evil: str) -> None:
    person.provider.knows("next")
    for answer in (
        person.sign_in("next", next=evil),
        Client().post("/login/", {"username": "x", "password": "y", "next": evil}),
    ):
        target = urlsplit(answer.headers.get("Location", ""))
        assert not target.netloc
        assert target.scheme == ""


def test_next_is_where_it_leads(person: Person) -> None:
    person.provider.knows("next-2")
    assert person.sign_in("next-2", next="/tokens/?a=b")["Location"] == "/tokens/?a=b"


def test_display_names_are_shown_as_text(person: Person) -> None:
    person.provider.knows("html", name="<script>alert(1)</script>\x1b[2J\u202eevil\n" + "x" * 200)
    person.sign_in("html")
    user = User.objects.get()
    assert user.name.isprintable()
    assert len(user.name) == 150
    page = person.client.get("/settings/").content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_a_provider_that_is_away_is_said(person: Person, settings: Any) -> None:
    settings.GOOGLE_ISSUER = "http://127.0.0.1:9"
    answer = Client().post("/login/google/")
    assert problem_of(answer) == "unavailable"


def test_a_callback_with_nonsense_is_no_failure_of_ours(person: Person) -> None:
    for query in ("", "error=server_error", "code=x", "state=" + "x" * 500, "error=%00%0a<b>", "denied"):
        answer = person.client.get(f"/login/google/callback/?{query}")
        assert problem_of(answer), query


def test_attempts_are_limited_by_address(person: Person, settings: Any) -> None:
    settings.LOGIN_ATTEMPTS_PER_MINUTE = 1
    answers = [person.client.get("/login/google/callback/?code=x") for _ in range(6)]
    assert [problem_of(answer) for answer in answers] == ["expired"] * 5 + ["throttled"]
    assert len(events(None)) == 5


def test_linking_and_unlinking(provider: Provider) -> None:
    owner = factories.user()
    browser = Client()
    browser.force_login(owner)
    factories.confirmed(browser)
    person = Person(provider, browser)
    provider.knows("mine", email="private@else.example")
    assert person.sign_in("mine", link="1")["Location"] == "/settings/?done=linked#methods"
    assert "private@else.example" in browser.get("/settings/").content.decode()
    assert Person(provider).sign_in("mine")["Location"] == HOME
    assert User.objects.count() == 1
    browser.post("/settings/", {"action": "unlink", "provider": "google"})
    assert not UserSocialAuth.objects.exists()
    assert {EventKind.IDENTITY_LINKED, EventKind.IDENTITY_UNLINKED} <= set(events(owner))


def test_one_identity_of_each_provider_is_linked_and_goes(person: Person) -> None:
    person.provider.knows("first-of-two")
    person.provider.knows("second-of-two")
    person.sign_in("first-of-two")
    assert problem_of(person.sign_in("second-of-two", link="1")) == "other_linked"
    owner = User.objects.get()
    # As two that were linked at the same moment.
    UserSocialAuth.objects.create(user=owner, provider="google", uid="second-of-two")
    owner.set_password("a long enough password")
    owner.save()
    person.client.force_login(owner)
    factories.confirmed(person.client)
    person.client.post("/settings/", {"action": "unlink", "provider": "google"})
    assert not UserSocialAuth.objects.exists()


def test_an_identity_of_another_account_is_not_linked(person: Person) -> None:
    person.provider.knows("taken")
    person.sign_in("taken")
    browser = Client()
    browser.force_login(factories.user())
    factories.confirmed(browser)
    assert problem_of(Person(person.provider, browser).sign_in("taken", link="1")) == "identity_taken"
    assert UserSocialAuth.objects.count() == 1


def test_who_begins_to_link_must_be_who_comes_back(provider: Provider) -> None:
    browser = Client()
    browser.force_login(factories.user())
    factories.confirmed(browser)
    person = Person(provider, browser)
    provider.knows("swap")
    back = person.consent(person.leave(link="1"), "swap")
    session = browser.session
    other = factories.user()
    session["_auth_user_id"] = str(other.pk)
    session["_auth_user_hash"] = other.get_session_auth_hash()
    session.save()
    assert problem_of(person.come_back(back)) == "other_person"
    assert not UserSocialAuth.objects.exists()


def test_the_last_way_to_sign_in_stays(person: Person) -> None:
    person.provider.knows("only")
    person.sign_in("only")
    answer = person.client.post("/settings/", {"action": "unlink", "provider": "google"})
    assert answer.status_code == 409
    assert UserSocialAuth.objects.exists()
    long = "a long enough password"
    person.client.post("/settings/", {"action": "password", "wanted": long, "again": long})
    assert person.client.post("/settings/", {"action": "unlink", "provider": "google"}).status_code == 302
    assert not UserSocialAuth.objects.exists()
