"""Which sandbox a request is for. Strict: what two parties could read in two ways is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.errors import BadRequest, Misdirected

LABEL = re.compile(r"[a-z0-9-]{1,63}")
_HOST = re.compile(r"([A-Za-z0-9.-]{1,253})(?::([0-9]{1,5}))?")
_PATH_FORM = re.compile(r"/-/([a-z0-9-]{1,63})(/[^\x00-\x20\x7f#]*)")
# As in RFC 3986, and the few that browsers send raw; a fragment is no part of a request.
_TARGET = re.compile(r"/[^\x00-\x20\x7f#]*")


@dataclass(frozen=True, slots=True)
class Site:
    """A label, and what is asked of the server behind it."""

    label: str
    host: str  # as it was sent
    target: str  # path and query, as they were sent, without `prefix`
    prefix: str = ""  # of the path form


@dataclass(frozen=True, slots=True)
class Names:
    apps_domain: str
    path_host: str

    def site(self, hosts: list[str], target: str) -> Site:
        """`hosts`: all Host headers of the request. Raises BadRequest or Misdirected."""
        if len(hosts) != 1:
            raise BadRequest("a request needs exactly one Host header")
        found = _HOST.fullmatch(hosts[0])
        if found is None:
            raise BadRequest("the Host header is malformed")
        if not _TARGET.fullmatch(target):
            raise BadRequest("the request's target is not a path")
        name = found[1].lower()
        if self.path_host and name == self.path_host:
            return _path_form(hosts[0], target)
        label = name.removesuffix(f".{self.apps_domain}")
        if label == name or not LABEL.fullmatch(label):
            raise Misdirected(f"this gateway serves names below {self.apps_domain} only")
        return Site(label, hosts[0], target)


def _path_form(host: str, target: str) -> Site:
    found = _PATH_FORM.fullmatch(target)
    if found is None:
        raise Misdirected("URLs of this host begin with /-/<label>/")
    return Site(found[1], host, found[2], f"/-/{found[1]}")
