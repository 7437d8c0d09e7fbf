"""`python3 -m deploy <command>`: install what is missing, then go on inside `.venv`.

This file, `bootstrap` and what they import use the standard library only: on a bare machine there
is nothing else yet.
"""

from __future__ import annotations

import os
import sys

from deploy import bootstrap
from deploy.errors import SetupError

# What each command needs before it can run; the others only need a .venv that is there already.
NEEDS_SERVER = {"up", "restart", "setup", "host"}
NEEDS_TESTS = {"setup-dev"}


def main() -> None:
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    try:
        if command in NEEDS_SERVER | NEEDS_TESTS:
            bootstrap.prepare(is_dev=command in NEEDS_TESTS)
    except (SetupError, KeyboardInterrupt) as error:
        sys.exit(f"\nmags: {error or 'interrupted'}")
    if command in {"setup", "setup-dev"}:
        return
    if not bootstrap.VENV_PYTHON.exists():
        sys.exit("mags: nothing is set up here yet\n  run `make up`")
    os.execv(bootstrap.VENV_PYTHON, [str(bootstrap.VENV_PYTHON), "-m", "deploy.cli", *sys.argv[1:]])  # noqa: S606 - argument list


if __name__ == "__main__":
    main()
