"""What can go wrong with aliases."""

from __future__ import annotations

from core.errors import Conflict, Invalid, NotFound


class AliasNotFound(NotFound):
    code = "alias_not_found"
    default_message = "There is no such alias."
    default_remediation = "Check the name; `GET /api/v1/mags-url-aliases` lists your aliases."


class AliasTaken(Conflict):
    code = "alias_taken"
    default_message = "An alias of this name already exists."
    default_remediation = "Choose another name, or remove the alias first if it is yours."


class BadAliasName(Invalid):
    code = "bad_alias_name"
    default_remediation = (
        "Use 1 to 63 lower-case letters, digits and dashes, with a letter or digit at both ends, not the form"
        " of an id and none of the reserved words."
    )
