"""What the agent says about the machine it is on, and the clocks it uses."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from hostagent.config import Config
from hostagent.errors import ConfigError
from hostagent.wire import Capacity

MEMORY_SHARE = 0.8  # for sandboxes, where no figure is set: the rest is the system's and the agent's


def boot_id() -> str:
    """Another one after each start of the kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def now_ms() -> int:
    """Unix time."""
    return time.time_ns() // 1_000_000


def uptime_ms() -> int:
    """Milliseconds since the machine's boot: does not jump, and goes on across agents."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def load() -> float:
    """Runnable tasks per CPU over the last minute."""
    return round(os.getloadavg()[0] / (os.cpu_count() or 1), 2)


def capacity(config: Config) -> Capacity:
    return Capacity(
        sandboxes=config.sandboxes,
        memory_mb=config.memory_mb or int(_memory_mb() * MEMORY_SHARE),
        vcpus=config.vcpus_limit or os.cpu_count() or 1,
    )


def _memory_mb() -> int:
    text = Path("/proc/meminfo").read_text(encoding="ascii")
    match = re.search(r"^MemTotal:\s+(\d+) kB$", text, re.MULTILINE)
    if match is None:
        raise ConfigError("/proc/meminfo does not say how much memory there is", "set MAGS_AGENT_MEMORY_MB")
    return int(match[1]) // 1024
