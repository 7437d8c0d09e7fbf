"""Labels: what stands before the apps domain in a public URL. A job's id is one, an alias is one."""

from __future__ import annotations

import re
import uuid
from urllib.parse import urlsplit

from django.conf import settings

LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")  # of the DNS, lower case


def label_url(label: str) -> str:
    """Where visitors find it."""
    return str(settings.URL_FORM.replace("{label}", label))


def label_of_host(host: str) -> str | None:
    """The label that a public URL with this host name has; None where it has none of ours."""
    before, is_part, after = (urlsplit(settings.URL_FORM).hostname or "").partition("{label}")
    name = host.lower()
    if not is_part or not (name.startswith(before) and name.endswith(after)):
        return None
    label = name[len(before) : len(name) - len(after)]
    return label if LABEL.fullmatch(label) else None


def label_uuid(label: str) -> uuid.UUID | None:
    """The id that a label is, in the form that we give out."""
    try:
        found = uuid.UUID(label)
    except ValueError:
        return None
    return found if str(found) == label else None
