"""The pages of the REST reference, as Markdown."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from handbook.rest import document, examples
from handbook.rest.document import Call, Field
from handbook.rest.errors import failures
from handbook.rest.examples import Example

RESOURCES = Path(settings.BASE_DIR) / "docs/api/resources.toml"


@dataclass(frozen=True, slots=True)
class Resource:
    """A page: calls that belong together."""

    slug: str
    title: str
    description: str
    intro: str
    calls: tuple[str, ...]  # operation ids


def stamp() -> int:
    """Another number when any of the sources has changed."""
    return sum(path.stat().st_mtime_ns for path in (RESOURCES, examples.EXAMPLES, document.DOCUMENT))


def resources() -> tuple[Resource, ...]:
    return _resources(RESOURCES.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _resources(_stamp: int) -> tuple[Resource, ...]:
    entries = tomllib.loads(RESOURCES.read_text(encoding="utf-8"))["resources"]
    return tuple(Resource(**{**entry, "calls": tuple(entry["calls"])}) for entry in entries)


def markdown(slug: str) -> str:
    resource = next(found for found in resources() if found.slug == slug)
    calls, shown = document.calls(), examples.examples()
    parts = (_call(calls[name], shown[name]) for name in resource.calls)
    return "\n".join([f"# {resource.title}\n", f"{resource.intro.strip()}\n", *parts])


def _call(call: Call, example: Example) -> str:
    return "\n".join(
        [
            f"## {example.title}\n",
            "::::: call",
            ":::: words",
            *_words(call, example),
            "::::",
            ":::: samples",
            *_samples(call, example),
            "::::",
            ":::::\n",
        ]
    )


def _words(call: Call, example: Example) -> Iterator[str]:
    yield f"**{call.method}** `{call.path}`\n"
    yield f"{call.words}\n"
    for title, fields in (
        ("Path", call.in_path),
        ("Query", call.in_query),
        ("Headers", call.in_header),
        ("Body", call.body),
    ):
        yield from _fields(title, fields)
    yield from _fields(f"Answer {call.status}", call.answer, is_answer=True)
    if not call.answer:
        yield f"**Answer {call.status}**\n\n{'Text or bytes.' if example.is_text else 'No body.'}\n"
    yield "**Errors**\n"
    yield "| status | code | |\n|---|---|---|"
    for failure in failures(call, example.errors):
        yield f"| {failure.status} | `{failure.code}` | {failure.words} |"
    yield ""


def _fields(title: str, fields: Sequence[Field], *, is_answer: bool = False) -> Iterator[str]:
    if not fields:
        return
    yield f"**{title}**\n"
    yield "::: fields"
    yield from _field_list(fields, is_answer, "")
    yield ":::\n"


def _field_list(fields: Sequence[Field], is_answer: bool, indent: str) -> Iterator[str]:
    for field in fields:
        required = ", required" if field.is_required and not is_answer else ""
        words = f" {field.words}" if field.words else ""
        yield f"{indent}- `{field.name}` *{field.type}{required}*{words}"
        yield from _field_list(field.fields, is_answer, f"{indent}  ")


def _samples(call: Call, example: Example) -> Iterator[str]:
    for tab, language, code in (
        ("curl", "bash", examples.curl(call, example)),
        ("Python", "python", examples.python(call, example)),
        ("Node", "js", examples.node(call, example)),
    ):
        yield f"```{language} tab={tab}\n{code}```"
    if call.answer_example is not None:
        yield f"\n```json title=Answer\n{json.dumps(call.answer_example, indent=2)}\n```"
