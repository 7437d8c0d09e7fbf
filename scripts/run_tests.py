"""All tests, in runs that cannot disturb each other. Ends with one line that counts everything.

`--fast` leaves out all that makes sandboxes, stacks, browsers or PostgreSQL.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
PYTHON = str(ROOT / ".venv/bin/python")
# What fails is run once more, and named (RERUN) if it passes then: decision 1290.
PYTEST = [PYTHON, "-m", "pytest", "-q", "--durations=12", "--reruns=1", "-rRfEs"]
BOTH_CORES = ["-n2", "--dist=worksteal"]  # neighbours stay together, and share what they start
QUICK = "-mnot (privileged or stack or browser)"
# The apps that talk to the database; their tests pass on either one.
DATABASE_APPS = (
    "core", "accounts", "hosts", "workspaces", "files", "images", "sandboxes", "jobs", "usage", "dashboard",
)  # fmt: skip
# About shapes, bodies, Redis, S3 and settings: another database would show nothing.
WITHOUT_DATABASE = (
    "core/test_errors.py",
    "core/test_gone_clients.py",
    "core/test_parsers.py",
    "dashboard/test_templates.py",
    "core/test_settings.py",
    "core/test_wakeup.py",
    "dashboard/test_javascript.py",
    "files/test_daphne.py",
    "workspaces/test_objectstore.py",
)
VOLUMES = "tests/volumes"
DATABASE_TESTS = [
    *(f"tests/{app}" for app in DATABASE_APPS),
    *(f"--ignore=tests/{file}" for file in WITHOUT_DATABASE),
]


@dataclass(frozen=True, slots=True)
class Run:
    """One call of pytest."""

    title: str
    arguments: list[str]
    environ: dict[str, str] = field(default_factory=dict)
    directory: str = "."
    is_fast: bool = False


# A package of its own, with its own settings: no Django in it.
CLIENT = Run("The client", [], directory="clients/python", is_fast=True)
ONE_BY_ONE = (
    Run(
        "The server, on PostgreSQL", [*DATABASE_TESTS, *BOTH_CORES, QUICK], {"MAGS_TEST_DATABASE": "postgres"}
    ),
    Run("Everything quick, on SQLite", ["tests", *BOTH_CORES, QUICK], is_fast=True),
)
# These wait more than they compute. Each has names, ports and addresses of its own, so one does not see
# the other. Playwright keeps an event loop running in its process, in which no asyncio test can run; those
# on whole stacks use none.
SIDE_BY_SIDE = (
    (Run("On whole stacks", ["tests", "-mstack"]),),
    (Run("In the browser", ["tests", "-mbrowser and not stack"]), Run("Volumes", [VOLUMES, "-mprivileged"])),
    (Run("Sandboxes", ["tests", f"--ignore={VOLUMES}", "-mprivileged and not (stack or browser)"]), CLIENT),
)
say_lock = threading.Lock()


def main() -> None:
    is_fast = "--fast" in sys.argv[1:]
    codes = [run_node_tests()]
    with tempfile.TemporaryDirectory(prefix="mags-tests-") as name:
        directory = Path(name)
        with building_image(directory / "image.log", is_wanted=not is_fast) as wait_for_image:
            codes += [pytest(run, directory) for run in ONE_BY_ONE if run.is_fast or not is_fast]
            wait_for_image()
        codes += [pytest(CLIENT, directory)] if is_fast else side_by_side(directory)
        sys.stdout.write(closing_line(directory.glob("*.xml")) + "\n")
    sys.exit(1 if any(codes) else 0)


def pytest(run: Run, reports: Path) -> int:
    say(run.title)
    return subprocess.run(**call(run, reports), check=False).returncode


def side_by_side(reports: Path) -> list[int]:
    with ThreadPoolExecutor() as threads:
        lanes = threads.map(lambda lane: [pytest_beside(run, reports) for run in lane], SIDE_BY_SIDE)
        return [code for codes in lanes for code in codes]


def pytest_beside(run: Run, reports: Path) -> int:
    """What it says is shown in one piece at its end."""
    done = subprocess.run(
        **call(run, reports), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    with say_lock:
        say(run.title)
        sys.stdout.write(done.stdout)
        sys.stdout.flush()
    return done.returncode


def call(run: Run, reports: Path) -> dict[str, Any]:
    command = [*PYTEST, f"--junit-xml={reports / run.title}.xml", *run.arguments]
    return {"args": command, "cwd": ROOT / run.directory, "env": {**os.environ, **run.environ}}


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


def closing_line(reports: Iterable[Path]) -> str:
    counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for report in reports:
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
