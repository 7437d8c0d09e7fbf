"""What gateways put after the question mark."""

from __future__ import annotations

import math
from typing import Annotated

import msgspec
from django.conf import settings
from msgspec import Meta, Struct

from core.errors import Invalid
from gateways.selectors import Kind

Seconds = Annotated[float, Meta(ge=0, le=3600)]


class Query(Struct, frozen=True):
    kind: Kind = "http"
    wait: Seconds = 0.0
    after: Annotated[int, Meta(ge=-1, le=2**53)] = -1
    blocked: Annotated[str, Meta(pattern=r"^([1-9][0-9]{0,4}(,|\Z))*\Z", max_length=100_000)] = ""

    def __post_init__(self) -> None:
        if not math.isfinite(self.wait):
            raise ValueError("wait is not finite")

    @property
    def wait_s(self) -> float:
        return min(self.wait, settings.WAIT_LIMIT_S)

    @property
    def blocked_ports(self) -> set[int]:
        return {int(port) for port in self.blocked.split(",") if port}


def query_of(given: dict[str, str]) -> Query:
    try:
        return msgspec.convert(given, Query, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(str(error)) from error
