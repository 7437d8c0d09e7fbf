"""Compare docs/cli.md with the commands of `mags`; `--write` brings it up to date.

The words are those of `mags COMMAND --help`; the examples are in docs/cli-examples.toml.
"""

from __future__ import annotations

import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
from mags.cli.app import app

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/cli.md"
EXAMPLES = ROOT / "docs/cli-examples.toml"
HEAD = """\
# Command line

<!-- Made by scripts/cli_docs.py from the commands and docs/cli-examples.toml: edit those. -->

`mags` comes with the [Python package](sdk/python.md). It takes the server and the token from `MAGS_API_URL`
and `MAGS_API_TOKEN`, else from what [`mags login`](#login) saved.

- Output of scripts goes where theirs went, byte for byte; notes by Mags itself go to stderr.
- `--json` prints one JSON object. Lists that are piped are columns separated by tabs.
- On a terminal, waits and uploads show what is going on. `NO_COLOR` is respected.

| exit code | |
|---|---|
| the script's own | it came to its end, or somebody stopped it (143) |
| 2 | wrong usage; nothing was sent |
| 124 | the command of `mags exec` was ended by its `--timeout` |
| 125 | the script could not run to its end, or the server refused or was away; stderr says which |
| 130 | interrupted |
| 141 | the output was closed |

The examples follow one another: what one makes, the next ones use.
"""


def main() -> None:
    text = generate()
    if "--write" in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
    elif text != PAGE.read_text(encoding="utf-8"):
        sys.exit("docs/cli.md is not what the commands say: run scripts/cli_docs.py --write")


def generate() -> str:
    examples = tomllib.loads(EXAMPLES.read_text(encoding="utf-8"))
    sections = [section(path, command, examples.pop(path, "")) for path, command in commands(app, "")]
    if examples:
        sys.exit(f"docs/cli-examples.toml has examples of no command: {', '.join(examples)}")
    return "\n".join([HEAD, *sections])


def commands(group: click.Group, prefix: str) -> Iterator[tuple[str, click.Command]]:
    """Every command by its words, groups before what is in them."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        path = f"{prefix} {name}".strip()
        yield path, command
        if isinstance(command, click.Group):
            yield from commands(command, path)


def section(path: str, command: click.Command, example: str) -> str:
    if not example and not isinstance(command, click.Group):
        sys.exit(f"docs/cli-examples.toml has no example of `mags {path}`")
    level = "#" * (2 + path.count(" "))
    parts = [f"{level} {path}", usage(path, command), prose(command), options(command)]
    if example:
        parts.append(f"```console run\n{example.strip()}\n```")
    return "\n\n".join(part for part in parts if part) + "\n"


def usage(path: str, command: click.Command) -> str:
    pieces = command.collect_usage_pieces(click.Context(command))
    return f"```text\nmags {path} {' '.join(pieces)}\n```"


def prose(command: click.Command) -> str:
    """Its help, without the examples: paragraphs as they are, and what is set out in columns as it is."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(filter(None, map(paragraph, paragraphs)))


def paragraph(text: str) -> str:
    lines = text.strip().splitlines()
    if lines[:1] != ["\b"]:
        return escaped(" ".join(line.strip() for line in lines))
    if lines[1].startswith("Examples:"):
        return ""
    if lines[1].startswith(" "):
        return f"```text\n{inspect.cleandoc(chr(10).join(lines[1:]))}\n```"
    title = [lines[1]] if len(lines) > 2 and lines[2].startswith(" ") else []
    if title:
        return f"{escaped(title[0])}\n\n```text\n{inspect.cleandoc(chr(10).join(['', *lines[2:]]))}\n```"
    return escaped(" ".join(line.strip() for line in lines[1:]))


def options(command: click.Command) -> str:
    context = click.Context(command)
    named = [option for option in command.params if isinstance(option, click.Option)]
    records = [option.get_help_record(context) for option in named]
    rows = [
        f"| `{cell(names)}` | {cell(escaped(in_words(words)))} |" for names, words in filter(None, records)
    ]
    return "\n".join(["| flag | |", "|---|---|", *rows]) if rows else ""


def in_words(text: str) -> str:
    """Ranges as people say them."""
    text = re.sub(r"(\d+)<=x<=(\d+)", r"\1 to \2", text)
    return re.sub(r"x>=(\d+)", r"at least \1", text).replace("] [", "; ")


def cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def escaped(text: str) -> str:
    """Names in capitals and flags are code, and what Markdown would read is not read."""
    text = text.replace("<", "&lt;").replace("*", "\\*")
    return re.sub(r"(?<![\w`/-])(--?[a-z][a-z-]*(?: [A-Z]{2,}\b)?)(?![\w`])", r"`\1`", text)


if __name__ == "__main__":
    main()
