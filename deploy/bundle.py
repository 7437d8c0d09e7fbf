"""What the dashboard's pages take from npm, bundled into static/vendor. Standard library only."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from deploy.command import run
from deploy.errors import SetupError
from deploy.layout import ROOT
from deploy.progress import step

NODE_AT_LEAST = 18  # what the bundler asks for
NODE_HINT = "install Node.js 18 or newer with npm"
BUNDLES = ROOT / "static" / "vendor"
STAMP = ROOT / "node_modules" / ".bundled"


def bundle(venv: Path) -> None:
    """Skipped when nothing changed."""
    digest = _digest()
    if any(BUNDLES.glob("*.js")) and STAMP.exists() and STAMP.read_text(encoding="utf-8") == digest:
        return
    environ = _with_node(venv)
    with step("what the pages take from npm"):
        hint = "the npm registry must be reachable; `npm config list` shows what npm uses"
        # No package's own scripts run here: this is root.
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], hint, environ)
        run(["npm", "run", "build"], "see the lines above", environ)
    STAMP.write_text(digest, encoding="utf-8")


def _digest() -> str:
    files = [
        ROOT / "package.json",
        ROOT / "package-lock.json",
        *sorted((ROOT / "dashboard" / "vendor").iterdir()),
    ]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _with_node(venv: Path) -> dict[str, str]:
    """An environment in which there is a Node.js that will do: the machine's own, or one from a package
    of Python's, because Debian's npm brings hundreds of others along."""
    if _is_new_enough(shutil.which("node")) and shutil.which("npm"):
        return dict(os.environ)
    with step("Node.js, to bundle what the pages take from npm"):
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--no-input", "--quiet"]
        wanted = ["--disable-pip-version-check", "-r", str(ROOT / "requirements-node.txt")]
        run([*pip, *wanted], f"{NODE_HINT}, or make the package index reachable")
    environ = {**os.environ, "PATH": f"{venv / 'bin'}:{os.environ.get('PATH', '')}"}
    if not _is_new_enough(str(venv / "bin" / "node")):
        raise SetupError("the Node.js of the Python package does not run here", NODE_HINT)
    return environ


def _is_new_enough(node: str | None) -> bool:
    if node is None:
        return False
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return False
    major = said.strip().removeprefix("v").partition(".")[0]
    return major.isdigit() and int(major) >= NODE_AT_LEAST
