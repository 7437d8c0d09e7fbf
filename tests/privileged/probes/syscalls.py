"""Try system calls; print {name: errno name, "ok", or "killed"}. Each in a child, without lasting effect."""

import ctypes
import errno
import json
import mmap
import os
import pty
import signal

libc = ctypes.CDLL(None, use_errno=True)
BIG = 1 << 32


def call(number, *arguments):
    def attempt():
        ctypes.set_errno(0)
        result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) for a in arguments))
        return "ok" if result >= 0 else errno.errorcode[ctypes.get_errno()]

    return attempt


def clone(flags):
    def attempt():
        result = libc.syscall(ctypes.c_long(56), ctypes.c_long(flags | signal.SIGCHLD), 0, 0, 0, 0)
        if result == 0:
            os._exit(0)
        return "ok" if result > 0 else errno.errorcode[ctypes.get_errno()]

    return attempt


def ioctl(request):
    def attempt():
        _master, slave = pty.openpty()
        os.setsid()
        libc.ioctl(slave, 0x540E, 0)  # TIOCSCTTY
        typed = ctypes.create_string_buffer(b"x")
        result = libc.syscall(ctypes.c_long(16), ctypes.c_long(slave), ctypes.c_long(request), typed)
        return "ok" if result >= 0 else errno.errorcode[ctypes.get_errno()]

    return attempt


def int80():
    """getpid as a 32-bit program calls it."""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20; int 0x80; ret
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    return "ok" if function() > 0 else "answered"


def outcome(attempt):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, attempt().encode())
        finally:
            os._exit(0)
    os.close(writer)
    _, status = os.waitpid(pid, 0)
    said = os.read(reader, 64).decode()
    os.close(reader)
    return "killed" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS else said


NAMESPACES = {
    "mnt": 0x2_0000,
    "cgroup": 0x200_0000,
    "uts": 0x400_0000,
    "ipc": 0x800_0000,
    "user": 0x1000_0000,
    "pid": 0x2000_0000,
    "net": 0x4000_0000,
}
USER = NAMESPACES["user"]  # the one that an unprivileged process gets, and with it all others

attempts = {
    **{f"unshare {name}": call(272, flag | USER) for name, flag in NAMESPACES.items()},
    "unshare time": call(272, 0x80 | USER),
    **{f"clone {name}": clone(flag | USER) for name, flag in NAMESPACES.items()},
    "clone3": call(435, 0, 0),
    "setns": call(308, -1, 0),
    "mount": call(165, 0, 0, 0, 0, 0),
    "umount2": call(166, 0, 0),
    "pivot_root": call(155, 0, 0),
    "open_tree": call(428, -1, 0, 0),
    "move_mount": call(429, -1, 0, -1, 0, 0),
    "fsopen": call(430, 0, 0),
    "fsconfig": call(431, -1, 0, 0, 0, 0),
    "fsmount": call(432, -1, 0, 0),
    "fspick": call(433, -1, 0, 0),
    "mount_setattr": call(442, -1, 0, 0, 0, 0),
    "io_uring_setup": call(425, 1, 0),
    "io_uring_enter": call(426, -1, 0, 0, 0, 0, 0),
    "io_uring_register": call(427, -1, 0, 0, 0),
    "bpf": call(321, 0, 0, 0),
    "perf_event_open": call(298, 0, 0, -1, -1, 0),
    "userfaultfd": call(323, 0x1),
    "keyctl": call(250, 0, -3, 0),
    "add_key": call(248, 0, 0, 0, 0, 0),
    "request_key": call(249, 0, 0, 0, 0),
    "pidfd_getfd": call(438, -1, 0, 0),
    "process_madvise": call(440, -1, 0, 0, 0, 0),
    "kcmp": call(312, 1, 1, 99, 0, 0),
    "open_by_handle_at": call(304, -1, 0, 0),
    "fanotify_init": call(300, 0x200, 0),
    "modify_ldt": call(154, 0, 0, 0),
    "ioperm": call(173, 0, 1, 1),
    "iopl": call(172, 3),
    "kexec_load": call(246, 0, 0, 0, 0),
    "init_module": call(175, 0, 0, 0),
    "quotactl": call(179, 0, 0, 0, 0),
    "syslog": call(103, 10, 0, 0),
    "mbind": call(237, 0, 0, 0, 0, 0, 0),
    "statmount": call(457, 0, 0, 0, 0),
    "unknown": call(999),
    "personality READ_IMPLIES_EXEC": call(135, 0x40_0000),
    "socket PACKET": call(41, 17, 3, 0),
    "socket VSOCK": call(41, 40, 1, 0),
    "socket ALG": call(41, 38, 5, 0),
    "socket UNSPEC": call(41, 0, 1, 0),
    "socket PACKET, 64 bits": call(41, BIG | 17, 3, 0),
    "netlink uevent": call(41, 16, 3, 15),
    "netlink uevent, 64 bits": call(41, BIG | 16, 3, BIG | 15),
    "socketpair INET": call(53, 2, 1, 0),
    "ioctl TIOCSTI": ioctl(0x5412),
    "ioctl TIOCSTI, 64 bits": ioctl(BIG | 0x5412),
    "ioctl TIOCLINUX": ioctl(0x541C),
    "x32 getpid": call(0x4000_0000 | 39),
    "int 0x80": int80,
    # What must go on working.
    "unshare files": call(272, 0x400),
    "clone": clone(0),
    "socket UNIX": call(41, 1, 1, 0),
    "socket INET": call(41, 2, 1, 0),
    "socket INET6": call(41, 10, 2, 0),
    "netlink route": call(41, 16, 3, 0),
    "ioctl TIOCGWINSZ": ioctl(0x5413),
    "personality": call(135, 0xFFFF_FFFF),
    "personality ADDR_NO_RANDOMIZE": call(135, 0x4_0000),
}
print(json.dumps({name: outcome(attempt) for name, attempt in attempts.items()}))
