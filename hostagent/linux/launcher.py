"""The launcher: one single-threaded process that mounts root file systems and starts programs for the agent.

Why a process of its own: it lives in a private mount namespace (a sandbox's mounts are seen by nobody else,
and vanish with it), it changes its fsuid and securebits, and it forks, which an event loop with threads must
not. Requests are JSON on a SOCK_SEQPACKET pair, one at a time. When the agent dies the socket ends, and so
does the launcher.

`hostagent.linux.launch` starts it: `python -m hostagent.linux.launcher <fd> <state fs> <cgroup mounts>...`.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostagent.linux import apart, mount, process

REQUEST_BYTES = 128 * 1024
FDS_PER_REQUEST = 5
FIRST_HIGH_FD = 64
IDS_PER_SANDBOX = 65_536
OVERLAY_OPTIONS = {"redirect_dir": "nofollow", "metacopy": "off", "index": "off", "xino": "off"}

Request = dict[str, Any]


def main() -> None:
    agent = socket.socket(fileno=int(sys.argv[1]))
    agent.set_inheritable(False)  # the only one that came along; Python opens all others so
    server = Launcher(agent)
    mount.unshare(mount.CLONE_NEWNS)
    # A slave: what the host mounts and unmounts is followed, nothing made here is seen there.
    mount.mount("none", Path("/"), "", mount.MS_REC | mount.MS_SLAVE)
    if sys.argv[3:]:
        _show_only([Path(hierarchy) for hierarchy in sys.argv[3:]])
    apart.let_go(but=Path(sys.argv[2]))
    _protect(Path("/dev/null"))
    process.set_securebits(process.SECBIT_NO_SETUID_FIXUP)
    os.umask(0o022)
    os.chdir("/")
    server.run()


def _show_only(hierarchies: list[Path]) -> None:
    """Replace the version 1 cgroup tree by one with only these mounts, and the links beside them.

    crun refuses to start where it sees a unified tree without controllers. To unmount that is not enough:
    its mount point lies in a tmpfs that is the host's, and crun would leave a directory there for every
    sandbox."""
    (top,) = {hierarchy.parent for hierarchy in hierarchies}
    links = {path.name: path.readlink() for path in top.iterdir() if path.is_symlink()}
    copies = {hierarchy: mount.open_tree_clone(hierarchy) for hierarchy in hierarchies}
    mount.mount("tmpfs", top, "tmpfs", mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC, "mode=755")
    for hierarchy, fd in copies.items():
        hierarchy.mkdir()
        mount.move_mount(fd, hierarchy)
        os.close(fd)
    for name, target in links.items():
        (top / name).symlink_to(target)
    flags = mount.MS_REMOUNT | mount.MS_BIND | mount.MS_RDONLY
    mount.mount("none", top, "", flags | mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC)


def _protect(device: Path) -> None:
    """Make a device's node unchangeable here. crun 1.8.1 gives its stdin, which conmon opened from /dev/null,
    to the sandbox's root: without this the host's node would belong to the sandbox that started last."""
    fd = mount.open_tree_clone(device)
    try:
        mount.mount_setattr(fd, mount.MOUNT_ATTR_RDONLY)
        mount.move_mount(fd, device)
    finally:
        os.close(fd)


class Launcher:
    def __init__(self, agent: socket.socket) -> None:
        self._agent = agent
        self._user_namespaces: dict[int, int] = {}
        self._running: dict[int, int] = {}  # pid -> id of the request that waits for its end
        self._calls: dict[str, Callable[[Request, list[int]], Any]] = {
            "root": self.root,
            "detach": self.detach,
            "spawn": self.spawn,
        }

    def run(self) -> None:
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda _signum, _frame: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        while True:
            ready, _, _ = select.select([self._agent.fileno(), woken], [], [])
            if woken in ready:
                os.read(woken, 4096)
                self._reap()
            if self._agent.fileno() in ready and not self._serve():
                return

    def _serve(self) -> bool:
        data, fds = _receive(self._agent)
        if not data:
            return False
        request = json.loads(data)
        try:
            result = self._calls[request["call"]](request, fds)
        except OSError as error:
            self._answer(request["id"], error=str(error), errno=error.errno)
        else:
            if result is not ...:
                self._answer(request["id"], result=result)
        finally:
            for fd in fds:
                os.close(fd)
        return True

    def _answer(self, number: int, **values: Any) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the agent's death is seen by recv
            self._agent.send(json.dumps({"id": number, **values}).encode())

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._running:
                self._answer(self._running.pop(pid), result=os.waitstatus_to_exitcode(status))

    def root(self, request: Request, _fds: list[int]) -> None:
        """Mount a sandbox's root: `lower` (read-only) below `upper`, both shifted to the ids from `base`."""
        base, target = int(request["base"]), Path(request["target"])
        layers = target.parent / f"{target.name}.layers"
        users = self._user_namespace(base)
        with contextlib.ExitStack() as stack:
            for name, attributes in (("lower", mount.MOUNT_ATTR_RDONLY), ("upper", 0)):
                layer = layers / name
                _shifted(Path(request[name]), layer, users, attributes)
                stack.callback(mount.umount2, layer, mount.MNT_DETACH)  # the overlay keeps copies of its own
            _overlay(layers, target, base, request["options"])

    def detach(self, request: Request, _fds: list[int]) -> None:
        """Unmount `target` as soon as nobody uses it. Not mounted is fine."""
        with contextlib.suppress(FileNotFoundError, OSError):
            mount.umount2(Path(request["target"]), mount.MNT_DETACH)

    def spawn(self, request: Request, fds: list[int]) -> Any:
        """Start `argv` in a session of its own with `fds` as 0, 1, ... and nothing else of this process.
        Answers the pid at once, or the exit code at its end where `is_awaited`."""
        if not request["cgroups"]:
            pid = _start(request["argv"], request["env"], fds)
        elif request["is_gated"]:
            pid = _start(request["argv"], request["env"], fds)
            _move(pid, request["cgroups"])
        else:
            # The program reads its gate before it does anything, so all it starts is in the groups too.
            gate, opener = os.pipe2(os.O_CLOEXEC)
            try:
                pid = _start(request["argv"], request["env"], [*fds, gate])
                _move(pid, request["cgroups"])
                os.write(opener, b".")
            finally:
                os.close(gate)
                os.close(opener)
        if not request["is_awaited"]:
            return pid
        self._running[pid] = request["id"]
        return ...

    def _user_namespace(self, base: int) -> int:
        """A namespace that maps 0 to `base`, made by a child that is gone afterwards."""
        if base not in self._user_namespaces:
            self._user_namespaces[base] = _make_user_namespace(base)
        return self._user_namespaces[base]


def _receive(agent: socket.socket) -> tuple[bytes, list[int]]:
    """A request, empty at the end, and the descriptors that came with it. socket.recv_fds would do, but it
    ignores its flags (Python 3.11), and every program that is started inherited them."""
    size = array.array("i").itemsize
    data, ancillary, _flags, _address = agent.recvmsg(
        REQUEST_BYTES, socket.CMSG_SPACE(FDS_PER_REQUEST * size), socket.MSG_CMSG_CLOEXEC
    )
    fds = array.array("i")
    for _level, _kind, values in ancillary:
        fds.frombytes(values[: len(values) - len(values) % size])
    return data, list(fds)


def _start(argv: list[str], env: dict[str, str], fds: list[int]) -> int:
    # Out of the way first: a descriptor may already have the number that is another one's target.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_HIGH_FD) for fd in fds]
    try:
        return os.posix_spawn(
            argv[0],
            argv,
            env,
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(high)],
            setsid=True,
            setsigmask=[],
            setsigdef=[
                signal.SIGPIPE,
                signal.SIGCHLD,
            ],  # Python ignores the first, and a program inherits that
        )
    finally:
        for fd in high:
            os.close(fd)


def _move(pid: int, groups: list[str]) -> None:
    """Into control groups, or nowhere: a program that waits at its gate in no group of its own is lost."""
    try:
        for group in groups:
            (Path(group) / "cgroup.procs").write_text(str(pid))
    except OSError:
        os.kill(pid, signal.SIGKILL)
        raise


def _make_user_namespace(base: int) -> int:
    made, making = os.pipe2(os.O_CLOEXEC)
    done, finish = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            mount.unshare(mount.CLONE_NEWUSER)
            os.write(making, b".")
            os.close(finish)
            os.read(done, 1)  # the parent's end closes: it holds the namespace now
        finally:
            os._exit(0)
    os.close(making)
    try:
        if not os.read(made, 1):
            raise OSError(0, "no user namespace: is user.max_user_namespaces 0?")
        for file in ("uid_map", "gid_map"):
            Path(f"/proc/{pid}/{file}").write_text(f"0 {base} {IDS_PER_SANDBOX}")
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        for fd in (made, done, finish):
            os.close(fd)


def _shifted(source: Path, target: Path, users: int, attributes: int) -> None:
    fd = mount.open_tree_clone(source)
    try:
        mount.mount_setattr(fd, mount.MOUNT_ATTR_IDMAP | attributes, users)
        mount.move_mount(fd, target)
    finally:
        os.close(fd)


def _overlay(layers: Path, target: Path, base: int, options: list[str]) -> None:
    context = mount.fsopen("overlay")
    try:
        for key, value in OVERLAY_OPTIONS.items():
            mount.fsconfig_string(context, key, value)
        # Attached paths: kernels before 6.13 take no descriptors. We made them, so no ":" or "," is in them.
        mount.fsconfig_string(context, "lowerdir", str(layers / "lower"))
        mount.fsconfig_string(context, "upperdir", str(layers / "upper/upper"))
        mount.fsconfig_string(context, "workdir", str(layers / "upper/work"))
        for option in options:
            mount.fsconfig_flag(context, option)
        # As the sandbox's root: the kernel cannot create work/work through the shift as 0 (EOVERFLOW), and
        # the whole mount would silently be read-only. Securebits keep our capabilities meanwhile.
        process.set_fs_ids(base, base)
        try:
            mount.fsconfig_create(context)
        finally:
            process.set_fs_ids(0, 0)
        # Without times of access: else who only reads changes the writable layer, and it is saved for that.
        quiet = mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NODEV | mount.MOUNT_ATTR_NOATIME
        fd = mount.fsmount(context, quiet)
        try:
            mount.move_mount(fd, target)
        finally:
            os.close(fd)
    finally:
        os.close(context)


if __name__ == "__main__":
    main()
