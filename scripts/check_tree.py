"""What no linter looks at: no file names a package registry's host or a path of one machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Where packages come from is a setting of the machine (pip.conf, sources.list), never of this tree.
# Written with brackets so that this file does not find itself.
FORBIDDEN = {
    "a package registry's host": (
        r"[p]ypi\.org|[p]ythonhosted\.|[r]egistry\.npmjs|[d]eb\.debian\.|[s]ecurity\.debian\."
    ),
    "a path of one machine": r"(^|[^\w.])/(wor[k]|farm|root/\.pyenv)/",
}


def main() -> None:
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    found = [line for name in files.stdout.decode().split("\0") if name for line in offences(ROOT / name)]
    if found:
        sys.exit("\n".join(found))


def offences(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):  # gone from the tree, or not text
        return []
    return [
        f"{path.relative_to(ROOT)}:{number}: names {what}"
        for number, line in enumerate(lines, 1)
        for what, pattern in FORBIDDEN.items()
        if re.search(pattern, line)
    ]


if __name__ == "__main__":
    main()
