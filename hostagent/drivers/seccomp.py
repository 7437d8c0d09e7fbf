"""The system calls a sandbox may make, as data for the OCI runtime (libseccomp).

An allowlist: what is not here answers ENOSYS, which programs take as "old kernel" and fall back from. Calls
that an administrator's tool would try answer EPERM instead, because people read that message. Foreign
architectures (also x32) are killed: libseccomp does that for every architecture that is not listed.
"""

from __future__ import annotations

import base64
import errno
import platform
from collections.abc import Iterable
from functools import cache
from typing import Any

from hostagent.linux.libseccomp import compile_profile

ALLOW = "SCMP_ACT_ALLOW"
ERRNO = "SCMP_ACT_ERRNO"
LOW32 = 0xFFFF_FFFF  # the kernel looks at 32 bits of many arguments, so a rule must look at no more

ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}

ALLOWED = """
accept accept4 access alarm arch_prctl bind brk capget capset chdir chmod chown chroot clock_getres
clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create
epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit
exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchown fchownat fcntl
fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex
futex_waitv futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid
getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid
getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr
inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents
io_pgetevents io_setup io_submit ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset
landlock_restrict_self lchown lgetxattr link linkat listen listxattr llistxattr lremovexattr lseek
lsetxattr lstat madvise membarrier memfd_create mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall
mmap mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap msgctl msgget
msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2
pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64
preadv preadv2 prlimit64 process_vm_readv process_vm_writev pselect6 ptrace pwrite64 pwritev pwritev2
read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr rename
renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max
sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_robust_list
set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid
setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr shmat shmctl shmdt shmget
shutdown sigaltstack signalfd signalfd4 splice stat statfs statx symlink symlinkat sync sync_file_range
syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat utime
utimensat utimes vfork vmsplice wait4 waitid write writev
""".split()  # noqa: SIM905 - readable

REFUSED = """
acct adjtimex bpf clock_adjtime clock_settime delete_module fanotify_init finit_module fsconfig fsmount
fsopen fspick init_module ioperm iopl kexec_file_load kexec_load mount mount_setattr move_mount
open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root quotactl quotactl_fd reboot
setdomainname sethostname setns settimeofday swapoff swapon syslog umount umount2 vhangup
""".split()  # noqa: SIM905 - readable

# New namespaces: mount, cgroup, uts, ipc, user, pid, net. CLONE_NEWTIME exists for unshare only: for clone
# the bit is part of the exit signal. clone3 hides its flags behind a pointer: ENOSYS, and libc uses clone.
CLONE_NEW = 0x7E02_0000
CLONE_NEWTIME = 0x80

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
NETLINK_ROUTE = 0  # all that getifaddrs and `ip` need; the other families are kernel surface

TIOCSTI, TIOCLINUX = 0x5412, 0x541C  # type into a terminal on somebody else's behalf

# Linux, 32-bit Linux, UNAME26, both, "tell me"; and without address randomisation, which debuggers ask for.
PERSONALITIES = (0x0, 0x8, 0x2_0000, 0x2_0008, 0x4_0000, LOW32)


def annotation() -> dict[str, str]:
    """The profile compiled, for crun: 20 ms once instead of 3 ms for each sandbox.

    Runtimes that do not know the annotation compile the profile, which is in config.json all the same."""
    return {"run.oci.seccomp_bpf_data": base64.b64encode(compile_profile(profile())).decode()}


@cache
def profile() -> dict[str, Any]:
    """`linux.seccomp` of a runtime's config.json."""
    return {
        "defaultAction": ERRNO,
        "defaultErrnoRet": errno.ENOSYS,
        "architectures": [ARCHITECTURES[platform.machine()]],
        "syscalls": [
            {"names": ALLOWED, "action": ALLOW},
            {"names": REFUSED, "action": ERRNO, "errnoRet": errno.EPERM},
            *_namespaces(),
            *_sockets(),
            *_ioctls(),
            *(_rule(["personality"], _masked(0, LOW32, value)) for value in PERSONALITIES),
        ],
    }


def _rule(names: list[str], *args: dict[str, Any], action: str = ALLOW, code: int = 0) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": names, "action": action, "args": list(args)}
    if action == ERRNO:
        rule["errnoRet"] = code
    return rule


def _masked(index: int, mask: int, value: int) -> dict[str, Any]:
    """True where argument `index` has exactly the bits `value` under `mask`."""
    return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}


def _above(index: int, value: int) -> dict[str, Any]:
    """True where argument `index`, all 64 bits of it, is greater. For refusing only."""
    return {"index": index, "value": value, "op": "SCMP_CMP_GT"}


def _namespaces() -> list[dict[str, Any]]:
    refused = [
        _rule([name], _masked(0, bit, bit), action=ERRNO, code=errno.EPERM)
        for name, flags in (("clone", CLONE_NEW), ("unshare", CLONE_NEW | CLONE_NEWTIME))
        for bit in _bits(flags)
    ]
    allowed = [
        _rule(["clone"], _masked(0, CLONE_NEW, 0)),
        _rule(["unshare"], _masked(0, CLONE_NEW | CLONE_NEWTIME, 0)),
    ]
    return allowed + refused


def _sockets() -> list[dict[str, Any]]:
    families = [_rule(["socket"], _masked(0, LOW32, family)) for family in (AF_UNIX, AF_INET, AF_INET6)]
    routes = _rule(["socket"], _masked(0, LOW32, AF_NETLINK), _masked(2, LOW32, NETLINK_ROUTE))
    pairs = _rule(["socketpair"], _masked(0, LOW32, AF_UNIX))
    unknown = _rule(["socket"], _above(0, AF_NETLINK), action=ERRNO, code=errno.EAFNOSUPPORT)
    others = _rule(
        ["socket"],
        _masked(0, LOW32, AF_NETLINK),
        _above(2, NETLINK_ROUTE),
        action=ERRNO,
        code=errno.EPROTONOSUPPORT,
    )
    return [*families, routes, pairs, unknown, others]


def _ioctls() -> list[dict[str, Any]]:
    return [_rule(["ioctl"], _masked(1, mask, value)) for mask, value in _all_but((TIOCSTI, TIOCLINUX))]


def _bits(value: int) -> Iterable[int]:
    return (1 << position for position in range(value.bit_length()) if value >> position & 1)


def _all_but(values: Iterable[int]) -> list[tuple[int, int]]:
    """Masked comparisons that together match every 32-bit number except `values`.

    libseccomp can neither say "none of these" in one rule nor carve an exception out of an unconditional one
    (the exception is silently ignored), and "not equal" compares 64 bits where the kernel reads 32: adding
    1 << 32 would walk past it. So: one comparison for each way to leave the paths of `values` in the tree of
    bits.
    """
    found: list[tuple[int, int]] = []
    mask, prefixes = 0, {0}
    for position in reversed(range(32)):
        bit = 1 << position
        mask |= bit
        taken = {value & mask for value in values}
        children = {prefix | choice for prefix in prefixes for choice in (0, bit)}
        found += [(mask, child) for child in sorted(children - taken)]
        prefixes = children & taken
    return found
