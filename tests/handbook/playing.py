"""Executes the examples of the REST reference: all of one language in one process, one after the other."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from handbook.rest import document, examples, resources
from handbook.rest.document import Call
from handbook.rest.examples import Example

PYTHON = """
import contextlib, io, json, runpy, sys
for name in sys.argv[1:]:
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            runpy.run_path(f"{name}.py", init_globals=json.load(open("names.json")))
        failure = ""
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    print(json.dumps([name, said.getvalue(), failure]), flush=True)
"""
NODE = """
import { readFileSync } from "node:fs";
Object.assign(globalThis, JSON.parse(readFileSync("names.json", "utf8")));
const print = console.log;
for (const name of process.argv.slice(2)) {
  let said = "", failure = "";
  console.log = (...words) => (said += words.map((word) => JSON.stringify(word)).join(" "));
  try { await import(`${process.cwd()}/${name}.mjs`); } catch (error) { failure = String(error.stack); }
  print(JSON.stringify([name, said, failure]));
}
"""
CURL = """
for name in "$@"; do
  bash "$name.sh" >"$name.out" 2>"$name.err" && code=0 || code=$?
  printf '%s %s\\n' "$name" "$code"
done
"""


@dataclass(frozen=True, slots=True)
class Played:
    said: str
    failure: str  # empty: none


def ordered() -> list[str]:
    """Every call with an example, as the reference has them."""
    return [name for resource in resources() for name in resource.calls]


def write(language: str, directory: Path, names: Mapping[str, str]) -> None:
    """The example of every call as a file, and what the variables in them are."""
    suffix = {"curl": "sh", "python": "py", "node": "mjs"}[language]
    for name in ordered():
        text = _text(language, document.calls()[name], examples.examples()[name])
        own = text.replace("docs-example", f"docs-example-{language}")  # one for all accounts of a server
        (directory / f"{name}.{suffix}").write_text(own)
    spelled = {_spelled(language, name): _typed(language, value) for name, value in names.items()}
    (directory / "names.json").write_text(json.dumps(spelled))


def play(language: str, directory: Path, environment: Mapping[str, str]) -> dict[str, Played]:
    """By operation id, in `directory`, where `write` wrote them."""
    command = {
        "python": [sys.executable, "-c", PYTHON],
        "node": [shutil.which("node") or "node", "run.mjs"],
        "curl": ["bash", "-c", CURL, "curl"],
    }[language]
    (directory / "run.mjs").write_text(NODE)
    names: dict[str, str] = json.loads((directory / "names.json").read_text())
    own = names if language == "curl" else {}
    done = subprocess.run(
        [*command, *ordered()],
        cwd=directory,
        env={**environment, **own},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return _of_curl(directory, done.stdout) if language == "curl" else _of_lines(done.stdout)


def _of_lines(said: str) -> dict[str, Played]:
    entries = (json.loads(line) for line in said.splitlines())
    return {name: Played(text, failure) for name, text, failure in entries}


def _of_curl(directory: Path, said: str) -> dict[str, Played]:
    codes = dict(line.split() for line in said.splitlines())
    return {
        name: Played(
            (directory / f"{name}.out").read_text(),
            "" if code == "0" else (directory / f"{name}.err").read_text(),
        )
        for name, code in codes.items()
    }


def _text(language: str, call: Call, example: Example) -> str:
    if language == "curl":
        # The reader sees the body; the test wants to know the status as well.
        return examples.curl(call, example).replace("curl ", "curl -sS -w '\\n%{http_code}' ", 1)
    return examples.python(call, example) if language == "python" else examples.node(call, example)


def _spelled(language: str, name: str) -> str:
    """A variable as its language writes it."""
    if language == "curl":
        return name
    return name.lower() if language == "python" else examples.camel(name)


def _typed(language: str, value: str) -> str | int:
    """The SDK's methods are typed: ids of tokens are numbers."""
    return int(value) if language == "python" and value.isdecimal() else value
