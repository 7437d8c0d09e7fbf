"""What can go wrong in set-up. A message says what happened; the hint says what to do."""

from __future__ import annotations


class SetupError(Exception):
    """Set-up cannot go on."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}\n  {hint}" if hint else message)
