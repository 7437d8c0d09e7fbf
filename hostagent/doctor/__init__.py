"""What this machine needs to run sandboxes: found or not, and how to get it.

Runs before anything is installed, so this package and all it imports need nothing but Python itself.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TextIO

from hostagent.config import Config, load
from hostagent.doctor.finding import Finding, Status, missing
from hostagent.doctor.machine import check_machine
from hostagent.doctor.net import check_network
from hostagent.doctor.tools import check_tools
from hostagent.errors import ConfigError

__all__ = ["Finding", "Status", "examine", "main", "report"]

COLORS = {Status.OK: "32", Status.NOTE: "33", Status.LATER: "36", Status.MISSING: "31"}
NAME_WIDTH = 26


def examine(
    config: Config, ports: Iterable[int] = (), *, is_before_install: bool = False
) -> Iterator[Finding]:
    """Each requirement in turn. `is_before_install`: a program that `make up` installs is no fault."""
    yield from check_machine(config)
    yield from check_tools(config, is_before_install=is_before_install)
    yield from check_network(config, ports)


def report(findings: Iterable[Finding], out: TextIO, *, is_json: bool = False) -> int:
    """Print them as they come; 1 where something needed is missing."""
    seen = []
    for finding in findings:
        seen.append(finding)
        if not is_json:
            print(_line(finding, is_colored=out.isatty()), file=out, flush=True)
    if is_json:
        json.dump([asdict(finding) for finding in seen], out, indent=1)
        out.write("\n")
    return int(any(finding.status is Status.MISSING for finding in seen))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="hostagent doctor", description="Is this machine ready to run sandboxes?"
    )
    parser.add_argument("--json", action="store_true", help="one list of findings")
    parser.add_argument(
        "--before-install", action="store_true", help="programs that `make up` installs may be missing"
    )
    parser.add_argument("--port", type=int, action="append", default=[], help="must be free; repeatable")
    options = parser.parse_args(arguments)
    try:
        config = load()
    except ConfigError as error:
        return report([missing("settings", error.message, error.hint)], sys.stdout, is_json=options.json)
    findings = examine(config, options.port, is_before_install=options.before_install)
    return report(findings, sys.stdout, is_json=options.json)


def _line(finding: Finding, *, is_colored: bool) -> str:
    status = f"{finding.status:<8}"
    if is_colored:
        status = f"\x1b[{COLORS[finding.status]}m{status}\x1b[0m"
    line = f"{status} {finding.name:<{NAME_WIDTH}} {finding.found}".rstrip()
    return f"{line}\n{'':9}{'':{NAME_WIDTH}} -> {finding.remedy}" if finding.remedy else line
