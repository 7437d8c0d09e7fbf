"""The pages for programs that read: llms.txt (what there is) and llms-full.txt (all of it)."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contents import Contents
from handbook.library import source

SUMMARY = """\
# Mags

> A self-hosted sandbox cloud: a script goes in over the command line, Python or REST, and runs a moment later
> in an isolated Linux sandbox, with live output, kept files, public URLs and SSH.

An agent that wants to use Mags begins with the skill below: it has the commands, the calls and the rules.
"""


def llms_txt(found: Contents, origin: str) -> str:
    """A map in the convention of llms.txt: a title, a summary, sections of links with a line each."""
    return "\n".join([SUMMARY, *_sections(found, origin)])


def _sections(found: Contents, origin: str) -> Iterator[str]:
    yield "## For agents\n"
    yield f"- [Skill]({origin}/skill.md): How an agent uses Mags, in one file."
    yield f"- [OpenAPI]({origin}/api/schema/): The REST API for programs.\n"
    for section in found.sections:
        if not section.entries:
            continue
        yield f"## {section.title}\n"
        for entry in section.entries:
            yield f"- [{entry.title}]({origin}{entry.raw_address}): {entry.description}"
        yield ""


def llms_full_txt(found: Contents, origin: str) -> str:
    """Every page of the navigation, one after the other."""
    pages = (f"<!-- {origin}{entry.address} -->\n\n{source(entry).strip()}\n" for entry in found.ordered)
    return "\n\n".join([SUMMARY, *pages])
