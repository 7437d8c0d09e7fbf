"""What a newcomer can paste, with this server's address. `<token>` marks where the token belongs."""

from __future__ import annotations

from typing import NamedTuple

from django.conf import settings

from dashboard.pages import API

PLACE = "mags_…"  # for a token


class Snippet(NamedTuple):
    """One way to run something. `before` and `after` are what is around the token."""

    name: str
    label: str
    before: str
    after: str
    token: str = PLACE


def first_steps() -> list[Snippet]:
    """The same job by curl, the command line and the Python SDK."""
    url = settings.PUBLIC_URL
    return [
        _snippet("curl", "curl", _CURL.format(url=url, api=API)),
        _snippet("cli", "Command line", _CLI.format(url=url)),
        _snippet("python", "Python", _PYTHON.format(url=url)),
    ]


def _snippet(name: str, label: str, text: str) -> Snippet:
    before, _, after = text.partition("<token>")
    return Snippet(name, label, before, after)


_CURL = """curl {url}{api}/mags-jobs \\
  -H "Authorization: Bearer <token>" \\
  -H "Content-Type: application/json" \\
  -d '{{"script": "echo Hello from $(hostname)"}}'"""

_CLI = """pip install ./clients/python  # of a checkout of Mags
export MAGS_API_URL={url}
export MAGS_API_TOKEN=<token>
mags run 'echo Hello from $(hostname)'"""

_PYTHON = """# pip install ./clients/python, of a checkout of Mags
from mags import Mags

mags = Mags(
    api_url="{url}",
    api_token="<token>",
)
result = mags.run_and_wait("echo Hello from $(hostname)")
for entry in result["logs"]:
    print(entry["message"])"""
