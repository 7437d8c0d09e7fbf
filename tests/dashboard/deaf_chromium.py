#!/usr/bin/env python3
"""Chromium that is not told when network interfaces come and go, as they do with every sandbox of the tests
that run beside it: it would drop each request that waits for a connection (ERR_NETWORK_CHANGED).

It hears of them through netlink; without such a socket it takes the network as it is.
"""

from __future__ import annotations

import errno
import os
import socket
import sys

import pyseccomp as seccomp

CHROMIUM = "/usr/bin/chromium"

if __name__ == "__main__":
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    answer = seccomp.ERRNO(errno.EAFNOSUPPORT)
    rules.add_rule(answer, "socket", seccomp.Arg(0, seccomp.EQ, socket.AF_NETLINK))
    rules.load()
    os.execv(CHROMIUM, [CHROMIUM, *sys.argv[1:]])  # noqa: S606 - the arguments are Playwright's
