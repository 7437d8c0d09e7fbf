"""The same call in curl, Python and Node, from docs/api/examples.toml."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from django.conf import settings

from handbook.rest.document import Call

EXAMPLES = Path(settings.BASE_DIR) / "docs/api/examples.toml"
VARIABLE = re.compile(r"\$([A-Z_]+)")
QUOTED_VARIABLE = re.compile(r"[\"']\$([A-Z_]+)[\"']")
PYTHON_HEAD = "from mags import Mags\n\nmags = Mags()\n\n"
PYTHON_HEADER = """\
request.add_header("Authorization", f"Bearer {os.environ['MAGS_API_TOKEN']}")
"""
PYTHON_WITHOUT_SDK = """\
import json
import os
from urllib.request import Request, urlopen

request = Request(f"{{os.environ['MAGS_API_URL']}}{target}"{data}, method="{method}")
{token}request.add_header("Content-Type", "application/json")
with urlopen(request) as answer:
    print(answer.status, answer.read().decode())
"""


@dataclass(frozen=True, slots=True)
class Example:
    """What is sent. A value like `$TOKEN_ID` is a variable of the reader's."""

    title: str
    python: str = ""  # empty: the SDK has no such call
    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    upload: str = ""  # the name of a file
    is_text: bool = False  # the answer is not JSON
    errors: tuple[str, ...] = ()  # codes of its own, besides those that every such call has


def examples() -> dict[str, Example]:
    """By operation id."""
    return _examples(EXAMPLES.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _examples(_stamp: int) -> dict[str, Example]:
    entries = tomllib.loads(EXAMPLES.read_text(encoding="utf-8"))
    return {
        name: Example(**{**entry, "errors": tuple(entry.get("errors", ()))})
        for name, entry in entries.items()
    }


def curl(call: Call, example: Example) -> str:
    words = ["curl", *([] if call.method in ("GET", "POST") else ["-X", call.method])]
    if call.method == "POST" and example.body is None and not example.upload:
        words += ["-X", "POST"]
    options = ['-H "Authorization: Bearer $MAGS_API_TOKEN"'] if call.needs_token else []
    if example.upload:
        options.append(f"-F file=@{example.upload}")
    if example.body is not None:
        options.append('-H "Content-Type: application/json"')
        options.append(f"-d {_shell_quoted(json.dumps(example.body))}")
    first = f'{" ".join(words)} "$MAGS_API_URL{_target(call, example)}"'
    return " \\\n  ".join([first, *options]) + "\n"


def python(call: Call, example: Example) -> str:
    if example.python:
        return f"{PYTHON_HEAD}{example.python.strip()}\n"
    target = VARIABLE.sub(lambda found: f"{{{found[1].lower()}}}", _target(call, example))
    body = QUOTED_VARIABLE.sub(lambda found: found[1].lower(), repr(example.body))
    data = f", json.dumps({body}).encode()" if example.body is not None else ""
    token = PYTHON_HEADER if call.needs_token else ""
    return PYTHON_WITHOUT_SDK.format(target=target, data=data, method=call.method, token=token)


def node(call: Call, example: Example) -> str:
    headers = ["Authorization: `Bearer ${process.env.MAGS_API_TOKEN}`"] if call.needs_token else []
    options, before = [], ""
    if call.method != "GET":
        options.append(f'method: "{call.method}"')
    if example.upload:
        before = _node_form(example.upload)
        options.append("body: form")
    if example.body is not None:
        headers.append('"Content-Type": "application/json"')
        options.append(f"body: JSON.stringify({_node_value(example.body)})")
    options.insert(0 if call.method == "GET" else 1, f"headers: {{ {', '.join(headers)} }}")
    target = VARIABLE.sub(lambda found: f"${{{camel(found[1])}}}", _target(call, example))
    lines = "".join(f"  {option},\n" for option in options)
    address = f"`${{process.env.MAGS_API_URL}}{target}`"
    return f"{before}const response = await fetch({address}, {{\n{lines}}});\n{_node_end(call, example)}"


def _node_end(call: Call, example: Example) -> str:
    if call.status == 204:
        return "console.log(response.status);\n"
    return f"console.log(response.status, await response.{'text' if example.is_text else 'json'}());\n"


def _node_form(name: str) -> str:
    return (
        'import { openAsBlob } from "node:fs";\n\nconst form = new FormData();\n'
        f'form.set("file", await openAsBlob("{name}"), "{name}");\n\n'
    )


def _node_value(value: dict[str, Any]) -> str:
    pairs = ", ".join(f"{name}: {json.dumps(each)}" for name, each in value.items())
    return f"{{ {QUOTED_VARIABLE.sub(lambda found: camel(found[1]), pairs)} }}"


def _target(call: Call, example: Example) -> str:
    """Path and query."""
    path = call.path
    for name, value in example.path.items():
        path = path.replace(f"{{{name}}}", quote(value, safe="$"))
    return f"{path}?{urlencode(example.query)}" if example.query else path


def camel(name: str) -> str:
    first, *others = name.lower().split("_")
    return first + "".join(word.title() for word in others)


def _shell_quoted(text: str) -> str:
    if VARIABLE.search(text):  # which the shell replaces within double quotes only
        return '"' + text.replace('"', '\\"') + '"'
    return "'" + text.replace("'", "'\\''") + "'"
