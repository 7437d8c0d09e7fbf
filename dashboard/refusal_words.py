"""Why somebody was not signed in, in words. Addresses carry only the name of the reason."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest

from accounts.providers import providers
from accounts.sign_in_errors import Refusal

WORDS = {
    Refusal.DENIED: (
        "You did not let {name} tell who you are.",
        "Nothing has happened. Try again if you want to.",
    ),
    Refusal.EXPIRED: (
        "This sign-in is over, or was begun in another browser.",
        "Start again from here. If it goes on like this, allow cookies for this site.",
    ),
    Refusal.UNVERIFIED: (
        "{name} has not verified your e-mail address.",
        "Verify it in your account there, then try again.",
    ),
    Refusal.DOMAIN: (
        "Addresses of your e-mail's domain may not sign in here.",
        "Choose your account at work, or ask an administrator of this server for an invitation.",
    ),
    Refusal.NOT_INVITED: (
        "This server is for invited people only.",
        "Ask an administrator of this server to invite the e-mail address that {name} knows.",
    ),
    Refusal.INACTIVE: ("This account is switched off.", "Ask an administrator of this server."),
    Refusal.EMAIL_TAKEN: (
        "There is an account with your e-mail address that {name} is not linked to.",
        "Sign in the way you did before (with your password), then link {name} under Settings.",
    ),
    Refusal.IDENTITY_TAKEN: (
        "This {name} account is linked to another account here.",
        "Sign in with it and unlink it there, or choose another one.",
    ),
    Refusal.OTHER_LINKED: (
        "Another {name} account is linked to yours already.",
        "Unlink that one first.",
    ),
    Refusal.NOT_LINKED: (
        "This is not the {name} account that is linked to yours.",
        "Choose the linked one there.",
    ),
    Refusal.OTHER_PERSON: (
        "Somebody else has signed in here in the meantime.",
        "Nothing was linked. Look who is signed in, and try again.",
    ),
    Refusal.UNAVAILABLE: ("{name} does not answer at the moment.", "Try again in a minute."),
    Refusal.MISCONFIGURED: (
        "Signing in with {name} failed.",
        "It has to be set right by an administrator of this server, whose log says more.",
    ),
    Refusal.THROTTLED: ("Too many attempts to sign in.", "Try again in a minute."),
}


@dataclass(frozen=True, slots=True)
class RefusalWords:
    """In the shape of an error, for the template that shows those."""

    message: str
    remediation: str


def refusal_words(request: HttpRequest) -> RefusalWords | None:
    """Of the reason that the page's address names."""
    try:
        refusal = Refusal(request.GET.get("problem", ""))
    except ValueError:
        return None
    titles = {provider.slug: provider.title for provider in providers()}
    name = titles.get(request.GET.get("provider", ""), "the provider")
    message, remedy = (words.format(name=name) for words in WORDS[refusal])
    return RefusalWords(message[0].upper() + message[1:], remedy)
