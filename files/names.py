"""Which names a file may have: it will lie under this name in a sandbox's /uploads."""

from __future__ import annotations

import unicodedata

from files.errors import BadFileName

NAME_LIMIT_BYTES = 255  # of every Linux file system


def checked_name(name: str) -> str:
    """The name as it is, or BadFileName. Nothing is repaired: the job looks for what was asked for."""
    problem = _problem(name)
    if problem:
        raise BadFileName(f"The file's name {problem}.", fields={"file": f"the name {problem}"})
    return name


def _problem(name: str) -> str:
    if not name:
        return "is empty"
    if name in {".", ".."}:
        return "is a directory's"
    if "/" in name:
        return "has a slash"
    if any(unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} for letter in name):
        return "has a control character or a line break"
    size = len(name.encode())
    return f"has {size} bytes; at most {NAME_LIMIT_BYTES} are taken" if size > NAME_LIMIT_BYTES else ""
