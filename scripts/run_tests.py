"""All tests, in runs that cannot disturb each other. Ends with one line that counts everything.

`--fast` leaves out all that makes sandboxes, stacks, browsers or PostgreSQL.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
PYTHON = str(ROOT / ".venv/bin/python")
PYTEST = [PYTHON, "-m", "pytest", "-q", "--durations=12"]
QUICK = "-mnot (privileged or stack or browser)"
# The apps that talk to the database; their tests pass on either one.
DATABASE_APPS = ("core", "accounts", "hosts", "workspaces", "files", "images", "sandboxes", "jobs", "dashboard")
# Half of their time, and about shapes and bodies: another database would show nothing.
SHAPES = (
    "core/test_errors.py",
    "core/test_parsers.py",
    "dashboard/test_templates.py",
    "files/test_daphne.py",
)
DATABASE_TESTS = [
    *(f"tests/{app}" for app in DATABASE_APPS),
    *(f"--ignore=tests/{file}" for file in SHAPES),
]


@dataclass(frozen=True, slots=True)
class Run:
    """One call of pytest."""

    title: str
    arguments: list[str]
    environ: dict[str, str] = field(default_factory=dict)
    directory: str = "."
    is_fast: bool = False
    needs_image: bool = False


RUNS = [
    Run("The server, on PostgreSQL", [*DATABASE_TESTS, "-n2", QUICK], {"MAGS_TEST_DATABASE": "postgres"}),
    # A package of its own, with its own settings: no Django in it.
    Run("The client", ["-n2"], directory="clients/python", is_fast=True),
    Run("Everything quick, on SQLite", ["tests", "-n2", QUICK], is_fast=True),
    # Playwright keeps an event loop running in its process, in which no asyncio test can run.
    Run("In the browser", ["tests", "-mbrowser"], needs_image=True),
    Run("Sandboxes and stacks", ["tests", "-m(privileged or stack) and not browser"], needs_image=True),
]


def main() -> None:
    is_fast = "--fast" in sys.argv[1:]
    runs = [run for run in RUNS if run.is_fast or not is_fast]
    codes = [run_node_tests()]
    with tempfile.TemporaryDirectory(prefix="mags-tests-") as directory:
        reports = [Path(directory) / f"{number}.xml" for number in range(len(runs))]
        with building_image(Path(directory) / "image.log", is_wanted=not is_fast) as wait_for_image:
            for run, report in zip(runs, reports, strict=True):
                if run.needs_image:
                    wait_for_image()
                codes.append(pytest(run, report))
        sys.stdout.write(closing_line(reports) + "\n")
    sys.exit(1 if any(codes) else 0)


def pytest(run: Run, report: Path) -> int:
    say(run.title)
    command = [*PYTEST, f"--junit-xml={report}", *run.arguments]
    environ = {**os.environ, **run.environ}
    return subprocess.run(command, cwd=ROOT / run.directory, env=environ, check=False).returncode


def run_node_tests() -> int:
    say("The page's JavaScript")
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").glob("*/js/*.test.*js"))
    node = ["node", "--test", "--test-reporter=spec", *files]
    return subprocess.run(node, cwd=ROOT, check=False).returncode


@contextmanager
def building_image(log: Path, *, is_wanted: bool) -> Iterator[Callable[[], None]]:
    """Build the image that sandboxes run on beside the tests that need none. The call waits for it."""
    code = (
        "from pathlib import Path; from hostagent.images.mmdebstrap import build;"
        " from hostagent.images.recipe import recipe;"
        " build(Path('var/cache/images').resolve(), recipe('standard'), print)"
    )
    command = [PYTHON, "-c", code if is_wanted else ""]
    with log.open("w") as output:
        builder = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)

    def wait() -> None:
        if builder.wait():
            sys.exit(f"the image that sandboxes run on was not built:\n{log.read_text()}")

    try:
        yield wait
    finally:
        builder.terminate()
        builder.wait()


def closing_line(reports: list[Path]) -> str:
    counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for report in filter(Path.exists, reports):
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):  # noqa: S314 - by pytest, just now
            for name in counts:
                counts[name] += int(suite.get(name, "0"))
    failed = counts["failures"] + counts["errors"]
    passed = counts["tests"] - failed - counts["skipped"]
    return f"tests: {passed} passed, {failed} failed, {counts['skipped']} skipped"


def say(title: str) -> None:
    sys.stdout.write(f"\n== {title}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
