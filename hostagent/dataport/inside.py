"""Sockets of a sandbox's network. A socket belongs for ever to the namespace it was made in, so a thread
enters that for a moment, makes it, and goes back; who connects it later may be anywhere.

Never the other way round: a socket of the host's namespace must not get into a sandbox. Whoever holds one can
disconnect it and connect it anew, from the host's own address and past its firewall.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from hostagent.dataport.errors import no_sandbox
from hostagent.dataport.tenancy import Init
from hostagent.linux import netns

_T = TypeVar("_T")
_own = threading.local()


def tcp_socket(family: socket.AddressFamily) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    sock.setblocking(False)
    return sock


def make(init: Init, sandbox_id: str, work: Callable[[], _T]) -> _T:
    """Do `work` in the sandbox's network. Call it in a thread that runs nothing else at the time."""
    with _entered(init, sandbox_id):
        return work()


@contextlib.contextmanager
def _entered(init: Init, sandbox_id: str) -> Iterator[None]:
    home = _home()
    try:
        netns.enter(init.pidfd)  # by handle: a number could be another process's by now
    except OSError as error:  # it has just ended
        raise no_sandbox(sandbox_id) from error
    try:
        if _identity() == _own.identity:
            raise no_sandbox(sandbox_id)  # this host's own network is nobody's sandbox
        yield
    finally:
        _return(home)


def _home() -> int:
    """The host's namespace, remembered by each thread."""
    if not hasattr(_own, "home"):
        _own.home = netns.current()
        _own.identity = _identity()
    home: int = _own.home
    return home


def _return(home: int) -> None:
    try:
        netns.enter(home)
    except OSError:
        # A thread that is lost in a sandbox's network would serve the next one from there.
        os.abort()


def _identity() -> tuple[int, int]:
    status = Path("/proc/thread-self/ns/net").stat()
    return status.st_dev, status.st_ino
