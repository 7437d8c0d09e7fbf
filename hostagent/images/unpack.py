"""A hostile tarball into a subvolume, and nowhere else.

`tar` sees all of the machine read-only but for the subvolume, which has no devices and no set-user-id for it
there. It cannot make device nodes, and of root's other rights it has only those over owners and modes.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from hostagent.errors import AgentError
from hostagent.linux import apart, mount
from hostagent.linux.launch import ENVIRONMENT

_FLAGS = mount.MS_NODEV | mount.MS_NOSUID | mount.MS_NOEXEC
RIGHTS = ("chown", "dac_override", "fowner", "fsetid")
SAID_LIMIT_BYTES = 2000  # of what tar says, in the message
# A sandbox gets a /dev of its own; `docker export` and others write the members' names differently.
EXCLUDED = tuple(f"--exclude={prefix}dev/*" for prefix in ("", "./", "/"))
# Owners as numbers, as they are inside a sandbox. Attributes of a user's only: overlayfs would obey others.
TAR = (
    *("tar", "--extract", "--file=-", "--numeric-owner", "--same-owner", "--same-permissions"),
    *("--delay-directory-restore", "--xattrs", "--xattrs-include=user.*", "--anchored", *EXCLUDED),
)


def unpack(parts: Iterable[bytes], directory: Path) -> None:
    """An uncompressed tarball into the root of a subvolume. AgentError with what tar says."""
    feed([*TAR, "--directory", str(directory)], parts, directory)


def feed(command: list[str], parts: Iterable[bytes], directory: Path) -> None:
    """Run a command that may write in `directory` only, with `parts` as its input."""
    with ThreadPoolExecutor(max_workers=1) as thread:  # whose namespace is the child's, and goes with it
        process = thread.submit(_start, command, directory).result()
    with process:
        said = _Said(process.stderr)
        try:
            _write(process.stdin, parts)
        except BaseException:
            process.kill()
            raise
        finally:
            text = said.text()
    if process.returncode:
        raise AgentError(f"{command[0]} ended with {process.returncode}: {text}", _hint(text))


def _start(command: list[str], directory: Path) -> subprocess.Popen[bytes]:
    apart.enter(directory)
    mount.mount_setattr_below(Path("/"), mount.MOUNT_ATTR_RDONLY)
    mount.mount(str(directory), directory, "", mount.MS_BIND)
    mount.mount("none", directory, "", mount.MS_BIND | mount.MS_REMOUNT | _FLAGS)
    kept = ",".join(f"+{right}" for right in RIGHTS)
    confined = ["setpriv", f"--bounding-set=-all,{kept}", "--inh-caps=-all", "--no-new-privs", "--"]
    return subprocess.Popen(
        [*confined, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )


def _write(target: IO[bytes] | None, parts: Iterable[bytes]) -> None:
    if target is None:
        raise ValueError("no pipe")
    try:
        with target:
            for part in parts:
                target.write(part)
    except BrokenPipeError:
        return  # it has ended; its status says how


class _Said:
    """The end of what a process says, read as it comes: a tarball can make tar say very much."""

    def __init__(self, source: IO[bytes] | None) -> None:
        self._end = b""
        self._source = source
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def text(self) -> str:
        self._thread.join()
        return self._end.decode(errors="replace").strip()

    def _read(self) -> None:
        for line in self._source or ():
            self._end = (self._end + line)[-SAID_LIMIT_BYTES:]


def _hint(said: str) -> str:
    if any(words in said for words in ("quota exceeded", "Wrote only", "No space left")):
        return "an image has at most MAGS_AGENT_IMAGE_LIMIT_GB, and there must be room for it on the disk"
    if "Cannot mknod" in said:
        return "an image has no device nodes outside of /dev"
    return "is it a whole tar file, and is there room on the disk?"
