"""How long to wait before the next try."""

from __future__ import annotations

import random

FIRST_S = 0.1
LIMIT_S = 5.0


class Backoff:
    """Doubles from 0.1 s to 5 s (0.1 0.2 0.4 0.8 1.6 3.2 5 5 ...): six tries in the first 6.3 s, so a restart
    of the server costs a second or two, then one each 5 s, a twelfth of the lease of 60 s.

    Each wait is drawn from the upper half of its span, so that a fleet does not come back at one moment.
    """

    def __init__(self) -> None:
        self._span_s = FIRST_S

    def reset(self) -> None:
        self._span_s = FIRST_S

    def next_s(self) -> float:
        span_s = self._span_s
        self._span_s = min(2 * span_s, LIMIT_S)
        return jitter(span_s)


def jitter(seconds: float) -> float:
    """Between half of `seconds` and all of it."""
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
