"""libseccomp: an OCI seccomp profile compiled to the program that the kernel runs."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any

ACT_ALLOW = 0x7FFF_0000
ACT_ERRNO = 0x0005_0000
CTL_OPTIMIZE = 8
BINARY_TREE = 2  # a lookup instead of a walk through the list at every system call
OPERATORS = ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")
UNKNOWN_SYSCALL = -1


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("index", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("value_two", ctypes.c_uint64),
    )


def compile_profile(profile: dict[str, Any]) -> bytes:
    """The BPF program of `linux.seccomp` for this machine. OSError where libseccomp is missing or refuses.

    Only what our own profile uses is understood: allow and errno; anything else raises KeyError."""
    lib = _library()
    context = ctypes.c_void_p(lib.seccomp_init(_action(profile["defaultAction"], profile["defaultErrnoRet"])))
    if not context:
        raise OSError(errno.ENOMEM, "seccomp_init failed")
    try:
        _check(lib.seccomp_attr_set(context, CTL_OPTIMIZE, BINARY_TREE), "optimize")
        for rule in profile["syscalls"]:
            for name in rule["names"]:
                _add(lib, context, name, rule)
        return _export(lib, context)
    finally:
        lib.seccomp_release(context)


def _library() -> ctypes.CDLL:
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    lib.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_void_p,
    ]
    return lib


def _add(lib: ctypes.CDLL, context: ctypes.c_void_p, name: str, rule: dict[str, Any]) -> None:
    number = lib.seccomp_syscall_resolve_name(name.encode())
    if number == UNKNOWN_SYSCALL:
        return  # newer than the library; the default answers
    comparisons = [
        _Comparison(
            arg["index"],
            1 + OPERATORS.index(arg["op"].removeprefix("SCMP_CMP_")),
            arg["value"],
            arg.get("valueTwo", 0),
        )
        for arg in rule.get("args", ())
    ]
    array = (_Comparison * len(comparisons))(*comparisons)
    action = _action(rule["action"], rule.get("errnoRet", 0))
    _check(lib.seccomp_rule_add_array(context, action, number, len(comparisons), array), name)


def _action(name: str, code: int) -> int:
    return {"SCMP_ACT_ALLOW": ACT_ALLOW, "SCMP_ACT_ERRNO": ACT_ERRNO | code}[name]


def _export(lib: ctypes.CDLL, context: ctypes.c_void_p) -> bytes:
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        _check(lib.seccomp_export_bpf(context, fd), "export")
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)


def _check(result: int, what: str) -> None:
    if result < 0:
        raise OSError(-result, f"libseccomp: {what}: {os.strerror(-result)}")
