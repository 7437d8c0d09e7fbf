"""What the pages' forms share that do something: they call the API's own service and show its errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms

from accounts.models import User
from core.errors import MagsError


class DeedForm(forms.Form):
    """`done` names what the next page says of it."""

    done = ""
    # By the error's code, where the API's advice is a call of the API.
    advice: ClassVar[Mapping[str, str]] = {}

    def __init__(self, actor: User, data: Any = None) -> None:
        super().__init__(data)
        self.actor = actor
        self.problem: MagsError | None = None

    def perform(self) -> bool:
        """Do it. False: the form says why not."""
        if not self.is_valid():
            return False
        try:
            self._perform(self.cleaned_data)
        except MagsError as error:
            error.remediation = self.advice.get(error.code, error.remediation)
            self.problem = error
            return False
        return True

    @property
    def status(self) -> int:
        """Of the page that shows the form again."""
        return self.problem.status if self.problem else 400

    def _perform(self, wanted: dict[str, Any]) -> None:
        raise NotImplementedError
