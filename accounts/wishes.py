"""What somebody wants who goes away to a provider, kept in their session until they are back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wish:
    """`next_href` is an address on this site. `links_to` is the account that the identity is for: they are
    signed in and want to add a way to sign in. `confirms` is the one that they are signed in to and show once
    more to be theirs."""

    next_href: str = ""
    links_to: int | None = None
    confirms: int | None = None
