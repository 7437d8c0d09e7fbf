"""Every HTTP route of the URL configuration, for tests that must forget none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.views import View

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
_PARAMETER = re.compile(r"<(?:(?P<converter>\w+):)?(?P<name>\w+)>|\(\?P<(?P<group>\w+)>[^)]*\)")


class Kind(StrEnum):
    PAGE = "page"
    API = "api"
    MACHINE = "machine"  # of hosts and gateways, which have keys of their own
    ADMIN = "admin"


_PREFIXES = (
    ("api/host/", Kind.MACHINE),
    ("api/gateway/", Kind.MACHINE),
    ("api/v1/", Kind.API),
    ("api/v2/", Kind.API),
    ("admin/", Kind.ADMIN),
)


@dataclass(frozen=True)
class Route:
    pattern: str  # as in the URL configuration, from its root: jobs/<str:reference>/
    view: Any

    @property
    def kind(self) -> Kind:
        return next((kind for prefix, kind in _PREFIXES if self.pattern.startswith(prefix)), Kind.PAGE)

    @property
    def parameters(self) -> list[str]:
        return [match["name"] or match["group"] for match in _PARAMETER.finditer(self.pattern)]

    def path(self, values: dict[str, str] | None = None) -> str:
        """Its address with these values; without any it has some that are well-formed and name nothing."""

        def value(match: re.Match[str]) -> str:
            if values is not None:
                return values[match["name"] or match["group"]]
            return {"int": "1", "uuid": "00000000-0000-4000-8000-000000000000"}.get(match["converter"], "x")

        return "/" + _PARAMETER.sub(value, self.pattern).replace("\\Z", "").replace("^", "").replace("$", "")

    def methods(self, client: Client, path: str) -> list[str]:
        """What it answers to, but for HEAD and OPTIONS. Plain views are asked; one that does not refuse
        OPTIONS runs for every method there is."""
        made_of = getattr(self.view, "cls", None) or getattr(self.view, "view_class", None)
        if made_of is not None and issubclass(made_of, View):
            allowed = getattr(self.view, "view_initkwargs", {}).get(
                "http_method_names"
            )  # as given to `as_view`
            offered = [name for name in METHODS if hasattr(made_of, name.lower())]
            return [name for name in offered if allowed is None or name.lower() in allowed]
        answer = client.options(path)
        allowed = [name.strip() for name in answer.headers.get("Allow", "").split(",")]
        return [name for name in METHODS if name in allowed] if answer.status_code == 405 else list(METHODS)

    def __str__(self) -> str:
        return self.pattern


def routes(*kinds: Kind) -> list[Route]:
    return [route for route in _walk(get_resolver().url_patterns, "") if route.kind in kinds]


def _walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[Route]:
    for pattern in patterns:
        here = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, here)
        else:
            yield Route(here, pattern.callback)


def socket_routes(application: Any) -> list[Route]:
    """Of the WebSockets that `application` takes."""
    while not hasattr(application, "routes"):
        application = application.inner  # what it is wrapped in
    return list(_walk(application.routes, ""))
