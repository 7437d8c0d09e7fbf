"""All tests in three runs: on PostgreSQL, the quick ones on both cores, then what needs the machine.

`--fast` leaves out all that makes sandboxes, stacks, browsers or PostgreSQL. Ends with one line that
counts everything.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
PYTEST = [str(ROOT / ".venv/bin/python"), "-m", "pytest", "-q"]
HEAVY = "privileged or stack or browser"
# The apps that talk to the database; their tests pass on either one.
DATABASE_TESTS = [f"tests/{app}" for app in ("core", "accounts", "hosts", "jobs", "dashboard")]


def main() -> None:
    is_fast = "--fast" in sys.argv[1:]
    codes = [run_node_tests()]
    with tempfile.TemporaryDirectory(prefix="mags-tests-") as directory:
        reports = Path(directory)
        if not is_fast:
            environ = {"MAGS_TEST_DATABASE": "postgres"}
            codes.append(pytest(reports / "1.xml", [*DATABASE_TESTS, "-n2", f"-mnot ({HEAVY})"], environ))
        # A package of its own, with its own settings: no Django in it.
        codes.append(pytest(reports / "2.xml", [], directory="clients/python"))
        codes.append(pytest(reports / "3.xml", ["tests", "-n2", f"-mnot ({HEAVY})"]))
        if not is_fast:
            codes.append(pytest(reports / "4.xml", ["tests", f"-m{HEAVY}"]))
        sys.stdout.write(closing_line(sorted(reports.glob("*.xml"))) + "\n")
    sys.exit(1 if any(codes) else 0)


def pytest(
    report: Path, arguments: list[str], environ: dict[str, str] | None = None, directory: str = "."
) -> int:
    command = [*PYTEST, f"--junit-xml={report}", *arguments]
    settings = " ".join(f"{key}={value}" for key, value in (environ or {}).items())
    sys.stdout.write(f"\n== {directory}: {settings} pytest {' '.join(arguments)}\n")
    sys.stdout.flush()
    return subprocess.run(
        command, cwd=ROOT / directory, env={**os.environ, **(environ or {})}, check=False
    ).returncode


def run_node_tests() -> int:
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").glob("*/js/*.test.*js"))
    return (
        subprocess.run(["node", "--test", "--test-reporter=spec", *files], cwd=ROOT, check=False).returncode
        if files
        else 0
    )


def closing_line(reports: list[Path]) -> str:
    counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for report in reports:
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):  # noqa: S314 - written by pytest just now
            for name in counts:
                counts[name] += int(suite.get(name, "0"))
    failed = counts["failures"] + counts["errors"]
    passed = counts["tests"] - failed - counts["skipped"]
    return f"tests: {passed} passed, {failed} failed, {counts['skipped']} skipped"


if __name__ == "__main__":
    main()
