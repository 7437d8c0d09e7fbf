"""Which names an alias may have."""

from __future__ import annotations

import re

from aliases.errors import BadAliasName
from core.labels import LABEL

# What visitors would take for the server's own, or what mail and browsers give a meaning to.
RESERVED = frozenset(
    """
    abuse account accounts admin administrator api app apps assets auth autoconfig autodiscover billing
    blog cdn console dashboard dev dns docs ftp gateway git help host hostmaster imap info isatap
    localhost login logout mags mail mta-sts mx noc ns ns1 ns2 oauth pop pop3 postmaster proxy registry
    root s3 security signin signup smtp ssh ssl static status support sso system test token usenet
    webmail webmaster wpad ws www
    """.split()  # noqa: SIM905 - one to a line is no list to read
)
UUID_LIKE = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
PUNYCODE = "xn--"  # shown as other letters than it has: names that look like each other


def name_check(name: str) -> None:
    """Raises BadAliasName with what is wrong with it."""
    words = _fault(name)
    if words:
        raise BadAliasName(f"subdomain: {words}", fields={"subdomain": words})


def _fault(name: str) -> str:
    if not LABEL.fullmatch(name):
        return "must be 1 to 63 lower-case letters, digits and dashes, with a letter or digit at both ends"
    if UUID_LIKE.fullmatch(name):
        return "looks like an id: those are names of jobs"
    if name in RESERVED or name.startswith(PUNYCODE):
        return "is reserved"
    return ""
