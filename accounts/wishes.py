"""What somebody wants who goes away to a provider, kept in their session until they are back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wish:
    """`next_href` is an address on this site. `links_to` is the account that the identity is for: they are
    signed in and want to add a way to sign in."""

    next_href: str = ""
    links_to: int | None = None
