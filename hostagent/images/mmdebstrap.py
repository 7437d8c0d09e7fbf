"""Building an image with mmdebstrap into a compressed tarball in the cache."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import zstandard

from hostagent.errors import AgentError
from hostagent.images.recipe import SUITE, Recipe, customize_script
from hostagent.images.sources import debian_sources

Progress = Callable[[str], None]

SUFFIX = ".tar.zst"
PACKAGE_ROOT = Path(__file__).resolve().parents[2]
TAIL_LINES = 15  # of the log, in the message about a failure
REPORT_S = 2.0  # between two lines of progress


def cached(cache: Path, recipe: Recipe) -> Path | None:
    """The newest finished build of exactly this recipe. Its name without suffix is the build's."""
    found = sorted(cache.glob(f"{recipe.name}-{recipe.digest}-*{SUFFIX}"))
    return found[-1] if found else None


def build(cache: Path, recipe: Recipe, progress: Progress, *, is_fresh: bool = False) -> Path:
    """The tarball, from the cache unless `is_fresh`. Who else wants it meanwhile waits for this one."""
    cache.mkdir(parents=True, exist_ok=True)
    before = cached(cache, recipe)
    with _locked(cache / ".lock", progress):
        found = cached(cache, recipe)
        if found is not None and not (is_fresh and found == before):
            return found
        made = _build(cache, recipe, progress)
        for older in set(cache.glob(f"{recipe.name}-*{SUFFIX}")) - {made}:
            older.unlink()
        return made


def _build(cache: Path, recipe: Recipe, progress: Progress) -> Path:
    name = f"{recipe.name}-{recipe.digest}-{datetime.now(UTC):%Y%m%d%H%M%S}"
    for left in cache.glob("building-*"):  # by a build that was killed; its mounts went with its namespace
        shutil.rmtree(left)
    work = cache / f"building-{name}"
    work.mkdir()
    try:
        watcher = Watcher(progress)
        log = cache / f"{recipe.name}.log"
        _run(_command(recipe, name, work / "image.tar"), work, watcher, log)
        watcher.say("compressing")
        _compress(work / "image.tar", work / "image.tar.zst")
        made = (work / "image.tar.zst").rename(cache / f"{name}{SUFFIX}")
        watcher.say(f"built, {made.stat().st_size >> 20} MiB compressed")
        return made
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _command(recipe: Recipe, build_name: str, target: Path) -> list[str]:
    """In its own mount and process namespace, killed when we die: no mount and no process ever stays."""
    sources = debian_sources()
    script = customize_script(build_name, "".join(f"{line}\n" for line in sources))
    return [
        *("setpriv", "--pdeathsig=KILL"),
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *(sys.executable, "-m", "hostagent.linux.apart"),
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar", "--verbose"),
        f"--include={','.join(recipe.packages)}",
        f"--customize-hook={script}",
        *(SUITE, str(target.resolve()), *sources),
    ]


def _run(command: list[str], work: Path, watcher: Watcher, log_path: Path) -> None:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
    environment |= {"TMPDIR": str(work.resolve()), "PYTHONPATH": str(PACKAGE_ROOT)} | _proxies()
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with log_path.open("w") as log, _started(command, environment) as process:
        for line in process.stdout or ():
            log.write(line)
            tail.append(line)
            watcher.read(line)
    if process.returncode:
        hint = f"the whole log is {log_path}; does `apt-get update` work on this machine?"
        raise AgentError(f"mmdebstrap ended with {process.returncode}:\n{''.join(tail)}", hint)


@contextmanager
def _started(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as error:
        raise AgentError(f"{command[0]} is not installed", "run: hostagent doctor") from error
    with process:
        try:
            yield process
        except BaseException:
            process.kill()  # unshare takes everything below with it
            raise


def _proxies() -> dict[str, str]:
    """How this machine's apt reaches its mirrors."""
    command = ["apt-config", "shell", "http", "Acquire::http::Proxy", "https", "Acquire::https::Proxy"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return {f"{name}_proxy": uri for name, uri in re.findall(r"^(https?)='(.*)'$", listed, re.MULTILINE)}


def _compress(source: Path, target: Path) -> None:
    """With a checksum in the frame, so that a damaged file is noticed when it is unpacked."""
    compressor = zstandard.ZstdCompressor(level=3, threads=-1, write_checksum=True)
    with source.open("rb") as reader, target.open("xb") as writer:
        compressor.copy_stream(reader, writer, size=source.stat().st_size)
        writer.flush()
        os.fsync(writer.fileno())


@contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another build of an image")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Watcher:
    """Turns mmdebstrap's output into lines that somebody can follow: seconds, stage, packages of how many."""

    STAGES: ClassVar = {
        "I: running apt-get update": "fetching the package lists",
        "I: downloading packages": "downloading the base system",
        "I: extracting archives": "unpacking the base system",
        "I: installing essential": "setting up the base system",
        "I: installing remaining": "installing packages",
        "I: cleaning package lists": "cleaning up",
        "I: creating tarball": "writing the tarball",
    }
    COUNTED: ClassVar = {"Get:": "downloaded", "Unpacking ": "unpacked", "Setting up ": "set up"}

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._started = self._said = time.monotonic()
        self._total = 0
        self._counts = dict.fromkeys(self.COUNTED.values(), 0)

    def read(self, line: str) -> None:
        for start, stage in self.STAGES.items():
            if line.startswith(start):
                self.say(stage)
        if match := re.match(r"\d+ upgraded, (\d+) newly installed", line):
            self._total += int(match[1])
        for start, word in self.COUNTED.items():
            if line.startswith(start) and self._total:
                self._counts[word] += 1
                if time.monotonic() - self._said >= REPORT_S:
                    self.say(f"packages {word}: {self._counts[word]} of {self._total}")

    def say(self, what: str) -> None:
        self._said = time.monotonic()
        self._progress(f"{self._said - self._started:4.0f} s  {what}")
