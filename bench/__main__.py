"""`make bench`: all benchmarks, one after the other, against the stack that `make up` started."""

from __future__ import annotations

import subprocess
import sys

for name in ("latency", "throughput", "logs", "workspaces"):
    print(f"\n== {name}", flush=True)
    if subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode:
        sys.exit(f"bench.{name} failed")
