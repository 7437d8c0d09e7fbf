"""What openapi.yaml says of each call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings

DOCUMENT = Path(settings.BASE_DIR) / "openapi.yaml"
READABLE = {"date-time": "time", "uri": "address", "double": "number", "binary": "file"}
DEEPEST = 3  # levels of fields within fields that a page shows

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    type: str
    words: str
    is_required: bool
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    id: str
    method: str
    path: str
    words: str
    needs_token: bool
    in_path: tuple[Field, ...]
    in_query: tuple[Field, ...]
    in_header: tuple[Field, ...]
    body: tuple[Field, ...]
    status: int  # of the answer when all went well
    answer: tuple[Field, ...]
    answer_example: Any  # None where there is none


def calls() -> dict[str, Call]:
    """By operation id, in the order of the document."""
    return _calls(DOCUMENT.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _calls(_stamp: int) -> dict[str, Call]:
    document = yaml.load(DOCUMENT.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - safe
    reader = _Reader(document["components"]["schemas"])
    found = (
        reader.call(method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )
    return {call.id: call for call in found}


# libyaml's is ten times as fast; both make plain values only.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Reader:
    def __init__(self, schemas: dict[str, Schema]) -> None:
        self._schemas = schemas

    def call(self, method: str, path: str, operation: Schema) -> Call:
        parameters = operation.get("parameters", [])
        status, answer = next(
            (int(code), r) for code, r in operation["responses"].items() if code != "default"
        )
        schema, example = self._content(answer)
        return Call(
            id=operation["operationId"],
            method=method.upper(),
            path=path,
            words=operation.get("description", ""),
            needs_token={"token": []} in operation.get("security", []),
            in_path=self._parameters(parameters, "path"),
            in_query=self._parameters(parameters, "query"),
            in_header=self._parameters(parameters, "header"),
            body=self._fields(self._content(operation.get("requestBody", {}))[0]),
            status=status,
            answer=self._fields(schema),
            answer_example=example,
        )

    @staticmethod
    def _content(holder: Schema) -> tuple[Schema, Any]:
        """The schema and the first example of a body."""
        content: Schema = next(iter(holder.get("content", {}).values()), {})
        example: Schema = next(iter(content.get("examples", {}).values()), {})
        return content.get("schema", {}), example.get("value")

    def _parameters(self, parameters: list[Schema], place: str) -> tuple[Field, ...]:
        return tuple(
            self._field(each["name"], {**each["schema"], "description": each.get("description", "")}, each)
            for each in parameters
            if each["in"] == place
        )

    def _field(self, name: str, schema: Schema, parameter: Schema) -> Field:
        return Field(name, self._type(schema), self._words(schema), parameter.get("required", False))

    def _fields(self, schema: Schema, depth: int = 1) -> tuple[Field, ...]:
        """Of an object, or of the objects of an array."""
        schema = self._resolved(schema)
        if schema.get("type") == "array":
            return self._fields(schema["items"], depth)
        required = schema.get("required", [])
        return tuple(
            Field(
                name,
                self._type(value),
                self._words(value),
                name in required,
                self._fields(value, depth + 1) if depth < DEEPEST else (),
            )
            for name, value in schema.get("properties", {}).items()
        )

    def _resolved(self, schema: Schema) -> Schema:
        """Without references; of several schemas the first that says something."""
        own = {key: value for key, value in schema.items() if key not in ("$ref", "allOf", "oneOf")}
        if "$ref" in schema:
            return {**self._resolved(self._schemas[schema["$ref"].rsplit("/", 1)[1]]), **own}
        for choice in (*schema.get("allOf", []), *schema.get("oneOf", [])):
            return {**self._resolved(choice), **own}
        return schema

    def _type(self, schema: Schema) -> str:
        resolved = self._resolved(schema)
        kind = str(resolved.get("format") or resolved.get("type", "any"))
        if kind == "array":
            kind = f"list of {self._type(resolved['items'])}s"
        readable = READABLE.get(kind, kind)
        return f"{readable} or null" if resolved.get("nullable") else readable

    def _words(self, schema: Schema) -> str:
        resolved = self._resolved(schema)
        # drf-spectacular appends a list of the choices to the words of an enumeration.
        own = str(
            schema.get("description") or ("" if "enum" in resolved else resolved.get("description", ""))
        )
        said = [" ".join(own.split("* `", maxsplit=1)[0].split())]
        if choices := [f"`{value}`" for value in resolved.get("enum", []) if value]:
            said.append(f"One of {', '.join(choices)}.")
        if (default := resolved.get("default")) not in (None, ""):
            said.append(f"Default `{default}`.".replace("`True`", "`true`").replace("`False`", "`false`"))
        return " ".join(word for word in said if word)
