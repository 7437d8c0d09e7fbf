"""What of the host can be seen or opened from here. Opens for writing, never writes."""

import json
import os
import stat

(arguments,) = [json.loads(os.environ["PROBE"])]


def openable(top):
    """Files below `top` that open for writing."""
    found = []
    for directory, _names, files in os.walk(top):
        for name in files:
            path = os.path.join(directory, name)
            try:
                if stat.S_ISREG(os.lstat(path).st_mode):
                    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                    found.append(path)
            except OSError:
                pass
    return found


def readable(path):
    try:
        with open(path, "rb") as file:
            return len(file.read(4096)) > 0
    except OSError:
        return False


def descriptors():
    numbers = sorted(os.listdir("/proc/self/fd"))
    return [
        os.readlink(f"/proc/self/fd/{n}")
        for n in numbers
        if os.path.exists(f"/proc/self/fd/{n}") or n in "012"
    ]


def mknod(kind, path="/dev/probe"):
    """null's numbers: even where it works it opens nothing."""
    try:
        os.mknod(path, kind | 0o600, os.makedev(1, 3))
    except OSError as error:
        return error.strerror
    os.unlink(path)
    return "ok"


def commands():
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                found.append(open(f"/proc/{name}/cmdline", "rb").read().replace(b"\0", b" ").decode())
            except OSError:
                pass
    return found


status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
seen = []
for directory, names, files in os.walk("/"):
    names[:] = [n for n in names if os.path.join(directory, n) not in ("/proc", "/usr", "/var/lib", "/etc")]
    seen += [os.path.join(directory, name) for name in files]
print(
    json.dumps(
        {
            "namespaces": {n: os.readlink(f"/proc/self/ns/{n}") for n in os.listdir("/proc/self/ns")},
            "uid_map": open("/proc/self/uid_map").read().split(),
            "status": {
                k: status[k]
                for k in ("NoNewPrivs", "Seccomp", "CapEff", "CapBnd", "CapPrm", "CapInh", "CapAmb")
            },
            "mounts": [line.split()[1:4] for line in open("/proc/self/mounts")],
            "fds": descriptors(),
            "environment": dict(os.environ),
            "devices": sorted(os.listdir("/dev")),
            "writable_proc_sys": openable("/proc/sys"),
            "writable_proc": [
                p for p in ("/proc/sysrq-trigger", "/proc/irq/default_smp_affinity") if os.access(p, os.W_OK)
            ],
            "writable_sys": openable("/sys"),
            "sys": sorted(os.listdir("/sys")),
            "readable_proc": [
                p
                for p in (
                    "/proc/interrupts",
                    "/proc/diskstats",
                    "/proc/modules",
                    "/proc/kcore",
                    "/proc/keys",
                    "/proc/partitions",
                    "/proc/kmsg",
                )
                if readable(p)
            ],
            "mknod": {"char": mknod(stat.S_IFCHR), "block": mknod(stat.S_IFBLK)},
            "commands": commands(),
            "canaries": [path for path in seen if "canary" in path],
            "oom_score_adj": int(open("/proc/self/oom_score_adj").read()),
            "hard_core_limit": __import__("resource").getrlimit(4)[1],
            "shared_memory_bytes": os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize,
            "run_bytes": os.statvfs("/run").f_blocks * os.statvfs("/run").f_frsize,
        }
    )
)
