"""What a sandbox cannot do to the host and to its neighbours.

Each probe also runs in a sandbox that was weakened on purpose, where it must succeed: else it proves nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hostagent.drivers import seccomp, spec
from hostagent.drivers.base import SandboxSpec
from tests.privileged.sandbox import Sandboxes

EditSpec = Callable[[dict[str, Any]], None]

WORKS = {
    "clone",
    "ioctl TIOCGWINSZ",
    "netlink route",
    "personality",
    "personality ADDR_NO_RANDOMIZE",
    "socket INET",
    "socket INET6",
    "socket UNIX",
    "unshare files",
}
KILLED = {"x32 getpid", "int 0x80"}
# Refused to a sandbox's root with or without the filter, or absent from this kernel: they show nothing here.
NOT_SHOWN = {
    "open_by_handle_at",
    "bpf",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "ioperm",
    "iopl",
    "kexec_load",
    "move_mount",
    "pivot_root",
    "quotactl",
    "socket ALG",
    "socket PACKET",
    "socket PACKET, 64 bits",
    "socket UNSPEC",
    "socketpair INET",
    "statmount",
    "syslog",
    "unknown",
    "x32 getpid",
}
CAPABILITIES = {  # and their numbers
    "CHOWN": 0,
    "DAC_OVERRIDE": 1,
    "FOWNER": 3,
    "FSETID": 4,
    "KILL": 5,
    "SETGID": 6,
    "SETUID": 7,
    "SETPCAP": 8,
    "NET_BIND_SERVICE": 10,
    "SYS_CHROOT": 18,
    "AUDIT_WRITE": 29,
    "SETFCAP": 31,
}
REFUSALS = {"EPERM", "ENOSYS", "EAFNOSUPPORT", "EPROTONOSUPPORT"}


def without_seccomp(config: dict[str, Any]) -> None:
    del config["linux"]["seccomp"], config["annotations"]


def without_compiled_seccomp(config: dict[str, Any]) -> None:
    """As for a runtime that does not know crun's annotation."""
    del config["annotations"]


@pytest.mark.parametrize("edit", [None, without_compiled_seccomp])
async def test_system_calls(sandboxes: Sandboxes, edit: EditSpec | None) -> None:
    sandboxes.driver._edit_spec = edit
    answers = await sandboxes.probe("syscalls")
    assert {name for name, answer in answers.items() if answer == "ok"} == WORKS
    assert {name for name, answer in answers.items() if answer == "killed"} == KILLED
    assert {name: a for name, a in answers.items() if name not in WORKS | KILLED and a not in REFUSALS} == {}
    assert answers["clone3"] == answers["io_uring_setup"] == answers["unknown"] == "ENOSYS"


async def test_system_calls_reach_the_kernel_without_the_filter(sandboxes: Sandboxes) -> None:
    sandboxes.driver._edit_spec = without_seccomp
    answers = await sandboxes.probe("syscalls")
    stopped = {name for name, answer in answers.items() if answer in REFUSALS}
    assert stopped - NOT_SHOWN == set()
    assert answers["int 0x80"] == "ok"
    assert answers["unshare user"] == answers["userfaultfd"] == answers["keyctl"] == "ok"


@pytest.fixture
async def surface(sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("MAGS_CANARY", "the host's environment")
    answer: dict[str, Any] = await sandboxes.probe("surface", memory_mb=256)
    return answer


async def test_namespaces_are_all_its_own(surface: dict[str, Any]) -> None:
    shared = {n for n, link in surface["namespaces"].items() if os.readlink(f"/proc/self/ns/{n}") == link}
    assert shared == {"time", "time_for_children"}


async def test_user_ids_are_mapped_away_from_the_hosts(surface: dict[str, Any]) -> None:
    inside, outside, count = map(int, surface["uid_map"])
    assert (inside, count) == (0, 65536)
    assert outside >= 1_048_576


async def test_privileges(surface: dict[str, Any]) -> None:
    assert {f"CAP_{name}" for name in CAPABILITIES} == set(spec.CAPABILITIES)
    mask = f"{sum(1 << number for number in CAPABILITIES.values()):016x}"
    nothing = "0" * 16
    assert surface["status"] == {
        "NoNewPrivs": "1",
        "Seccomp": "2",
        "CapEff": mask,
        "CapPrm": mask,
        "CapBnd": mask,
        "CapInh": nothing,
        "CapAmb": nothing,
    }


async def test_nothing_came_along(surface: dict[str, Any]) -> None:
    assert surface["fds"][0] == "/dev/null"
    assert [link.split(":")[0] for link in surface["fds"][1:]] == ["pipe", "pipe"]
    allowed = {*spec.ENVIRONMENT, *spec.CA_VARIABLES, "APT_CONFIG", "PROBE", "LC_CTYPE"}
    assert set(surface["environment"]) <= allowed


async def test_proc_and_sys_are_closed(surface: dict[str, Any]) -> None:
    assert surface["writable_proc_sys"] == surface["writable_proc"] == surface["writable_sys"] == []
    assert surface["readable_proc"] == surface["sys"] == []


async def test_devices(surface: dict[str, Any]) -> None:
    assert surface["devices"] == sorted(
        [
            "core",
            "fd",
            "full",
            "mqueue",
            "null",
            "ptmx",
            "pts",
            "random",
            "shm",
            "stderr",
            "stdin",
            "stdout",
            "tty",
            "urandom",
            "zero",
        ]
    )
    assert surface["mknod"] == {"char": "Operation not permitted", "block": "Operation not permitted"}


async def test_mounts(surface: dict[str, Any]) -> None:
    writable = {point for point, _type, options in surface["mounts"] if "rw" in options.split(",")}
    devices = {f"/dev/{name}" for name in ("zero", "full", "tty", "random", "urandom")}
    assert writable == {"/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/run"} | devices
    suid = {point for point, _type, options in surface["mounts"] if "nosuid" not in options.split(",")}
    assert {point for point in suid if not point.startswith("/proc/")} <= {"/dev/null"}
    types = {kind for _point, kind, _options in surface["mounts"]}
    assert types == {
        "overlay",
        "proc",
        "tmpfs",
        "devtmpfs",
        "devpts",
        "mqueue",
        "btrfs",
        _type_of("/usr/bin"),
    }


async def test_memory_backed_mounts_are_bounded(surface: dict[str, Any]) -> None:
    assert surface["shared_memory_bytes"] == 128 * 1024 * 1024  # half of its memory
    assert surface["run_bytes"] == 64 * 1024 * 1024


async def test_the_kernel_would_end_it_before_the_host(surface: dict[str, Any]) -> None:
    assert surface["oom_score_adj"] == 500
    assert surface["hard_core_limit"] == 0


async def test_surface_probe_finds_what_is_there(sandboxes: Sandboxes, tmp_path: Path) -> None:
    """The control of everything that the surface probe found to be closed."""
    (tmp_path / "canary-of-the-host").write_text("x")

    def weaken(config: dict[str, Any]) -> None:
        linux = config["linux"]
        linux["maskedPaths"] = linux["readonlyPaths"] = []
        bind = {"type": "bind", "options": ["rbind"]}
        sys = next(mount for mount in config["mounts"] if mount["destination"] == "/sys")
        dev = next(mount for mount in config["mounts"] if mount["destination"] == "/dev")
        dev["options"] = [option for option in dev["options"] if option not in ("nodev", "noexec")]
        sys |= {"type": "bind", "source": "/sys", "options": ["rbind"]}
        config["mounts"].append({**bind, "destination": "/mnt", "source": str(tmp_path)})
        linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] not in ("user", "pid", "uts")]
        del linux["uidMappings"], linux["gidMappings"], config["hostname"]
        linux["resources"]["devices"] = [{"allow": True, "access": "rwm"}]
        for kind in config["process"]["capabilities"].values():
            kind += ["CAP_MKNOD", "CAP_DAC_READ_SEARCH"]
        config["process"]["noNewPrivileges"] = False
        config["process"]["env"].append("MAGS_CANARY=x")
        config["process"]["args"] = ["/bin/sh", "-c", f"umask 0; exec {spec.SCRIPT}"]

    def editor(config: dict[str, Any]) -> None:
        config["process"]["capabilities"] = {k: list(v) for k, v in config["process"]["capabilities"].items()}
        weaken(config)

    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if Path("/tmp") in parent.parents:  # below it: /tmp itself keeps its mode
            parent.chmod(0o755)
    sandboxes.driver._edit_spec = editor
    surface = await sandboxes.probe("surface")
    assert surface["canaries"] == ["/mnt/canary-of-the-host"]
    assert surface["writable_proc_sys"]
    assert surface["writable_proc"]
    assert surface["writable_sys"]
    assert {"/proc/interrupts", "/proc/diskstats"} <= set(surface["readable_proc"])
    assert surface["mknod"] == {"char": "ok", "block": "ok"}
    assert surface["namespaces"]["pid"] == os.readlink("/proc/self/ns/pid")
    assert any("pytest" in command for command in surface["commands"])
    assert "MAGS_CANARY" in surface["environment"]
    assert surface["status"]["NoNewPrivs"] == "0"


async def test_no_file_or_process_of_the_host_or_a_neighbour_is_seen(sandboxes: Sandboxes) -> None:
    neighbour = "touch /root/canary-of-a-neighbour; echo up; exec -a process-canary sleep 60"
    async with sandboxes.started(neighbour) as other:
        await sandboxes.says(other, b"up")
        surface = await sandboxes.probe("surface")
    assert surface["canaries"] == []
    assert not any("canary" in command for command in surface["commands"])
    assert len(surface["commands"]) == 2  # init and the probe


async def test_files_of_a_tenant_are_owned_by_root_inside_and_nobody_outside(sandboxes: Sandboxes) -> None:
    async with sandboxes.started("touch /root/mine; stat -c %u:%g / /etc/passwd /root/mine") as sandbox_id:
        await sandboxes.driver.wait(sandbox_id)
        output = await sandboxes.says(sandbox_id, b"0:0\n0:0\n0:0\n")
        assert output.stderr == b""
        on_disk = sandboxes.driver.host.bundle(sandbox_id).upper / "upper/root/mine"
        assert (on_disk.stat().st_uid, on_disk.stat().st_gid) == (0, 0)  # not bound to any sandbox's id range


async def test_hosts_null_device_stays_the_hosts(sandboxes: Sandboxes) -> None:
    """crun 1.8.1 gives what conmon opened as stdin to the sandbox's root."""
    before = Path("/dev/null").stat()
    run = await sandboxes.run(
        "chmod 600 /dev/null; chown 5 /dev/null; echo written > /dev/null && echo works"
    )
    after = Path("/dev/null").stat()
    assert (before.st_uid, before.st_mode) == (after.st_uid, after.st_mode)
    assert run.output.stdout == b"works\n"
    assert run.output.stderr.count(b"Read-only file system") == 2


async def test_set_user_id_programs_give_nothing(sandboxes: Sandboxes) -> None:
    script = (
        "cp /usr/bin/id /root/id; chmod 4755 /root/id; chmod 755 /root;"
        " setpriv --reuid=1000 --clear-groups /root/id -u"
    )
    assert (await sandboxes.run(script)).output.stdout == b"1000\n"


async def test_tenants_share_no_lower_layer(sandboxes: Sandboxes) -> None:
    driver = sandboxes.driver
    async with (
        sandboxes.started("sleep 60", tenant="u1") as one,
        sandboxes.started("sleep 60", tenant="u1") as two,
        sandboxes.started("sleep 60", tenant="u2") as three,
    ):
        lowers = [driver.host.claims[sandbox_id].lower for sandbox_id in (one, two, three)]
    assert lowers[0] == lowers[1] != lowers[2]
    files = [(lower / "etc/passwd").stat() for lower in lowers]
    assert files[0].st_dev != files[2].st_dev  # another subvolume, so other inodes, so other pages


async def test_id_ranges_of_neighbours_differ(sandboxes: Sandboxes) -> None:
    probes = await asyncio.gather(*(sandboxes.probe("surface") for _ in range(3)))
    assert len({probe["uid_map"][1] for probe in probes}) == 3


async def test_shim_holds_nothing_of_the_agent(sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGS_CANARY", "the host's environment")
    async with sandboxes.started("sleep 60") as sandbox_id:
        driver = sandboxes.driver
        (group,) = [driver.host.groups.path("cpu", driver.host.group(f"shim-{sandbox_id}"))]
        (shim,) = (group / "cgroup.procs").read_text().split()
        launcher = driver.host.launch._child
        assert launcher is not None
        agents = {*_links(os.getpid()), *_links(launcher.pid)}
        shared = {
            link for link in agents & {*_links(int(shim))} if link.startswith(("socket", "pipe", "/memfd"))
        }
        environment = Path(f"/proc/{shim}/environ").read_bytes()
        assert shared == set()
        assert b"CANARY" not in environment
        assert os.getsid(int(shim)) == int(shim)


def _type_of(path: str) -> str:
    return (
        subprocess.run(
            ["stat", "--file-system", "--format", "%T", path], check=True, capture_output=True, text=True
        )
        .stdout.strip()
        .replace("ext2/ext3", "ext4")
    )


def _links(pid: int) -> list[str]:
    found = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            found.append(os.readlink(path))
    return found


def test_all_but_matches_everything_else() -> None:
    rules = seccomp._all_but((0x5412, 0x541C))
    numbers = [*range(0x5300, 0x5500), 0, 0xFFFF_FFFF, 0x8000_5412, *(0x5412 ^ 1 << bit for bit in range(32))]
    for number in numbers:
        matching = [mask for mask, value in rules if number & mask == value]
        assert len(matching) == (0 if number in (0x5412, 0x541C) else 1), hex(number)


def test_every_listed_call_is_listed_once() -> None:
    names = [
        *seccomp.ALLOWED,
        *seccomp.REFUSED,
        "clone",
        "unshare",
        "socket",
        "socketpair",
        "ioctl",
        "personality",
    ]
    assert len(names) == len(set(names))


def test_a_script_never_becomes_an_argument() -> None:
    script = b"--help; $(reboot)"
    made = SandboxSpec("a" * 16, "u1", "standard", script)
    assert spec.command(made.script, "/bin/sh", spec.SCRIPT) == ["/bin/sh", "-l", spec.SCRIPT]
