"""What the kernel does for a sandbox: limits, Landlock, namespaces. Linux; elsewhere, limits only.

Each layer is asked of the kernel directly (`ctypes`), needs no rights and no program, and can
never be taken off again by the process that put it on, whatever Python code runs in it later.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import resource
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "die_with_parent",
    "adopt_orphans",
    "hide_memory",
    "limit",
    "limit_memory",
    "landlock_version",
    "landlock",
    "unshare",
    "become",
]

LINUX = sys.platform == "linux"

# prctl(2)
_DIE_WITH_PARENT, _DUMPABLE, _SUBREAPER, _NO_NEW_PRIVILEGES = 1, 4, 36, 38
# landlock(7); the numbers are the same on every architecture
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
# unshare(2): processes, network, System V memory and message queues
_NEW_IPC, _NEW_USER, _NEW_PID, _NEW_NET = 0x08000000, 0x10000000, 0x20000000, 0x40000000


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _prctl(option: int, value: int) -> None:
    if LINUX:
        arguments = (ctypes.c_ulong(n) for n in (value, 0, 0, 0))
        _checked(_libc().prctl(option, *arguments))


def die_with_parent() -> None:
    """Have this process killed as soon as its parent ends."""
    import signal

    _prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent has ended."""
    _prctl(_SUBREAPER, 1)


def hide_memory() -> None:
    """Let no other process of the same user read this one's memory."""
    _prctl(_DUMPABLE, 0)


# -- limits --------------------------------------------------------------------------------------


def _own_use() -> dict[str, int]:
    """Return the bytes this process has mapped: `VmSize` all of it, `VmData` what is private."""
    lines = Path("/proc/self/status").read_text().splitlines() if LINUX else []
    sizes = (line.split() for line in lines if line.startswith(("VmSize", "VmData")))
    return {name.rstrip(":"): int(kilobytes) * 1024 for name, kilobytes, _ in sizes}


def limit(name: str, value: int) -> None:
    """Lower one of this process's limits for good, where the system knows it."""
    number = getattr(resource, name, None)
    if number is None:
        return
    _, hard = resource.getrlimit(number)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    try:
        resource.setrlimit(number, (value, value))
    except (OSError, ValueError):  # macOS knows some limits and refuses to set them
        return


def limit_memory(extra: int) -> None:
    """Let this process take `extra` bytes more than it has.

    What PyTorch has mapped already does not count. Private memory is limited exactly; address
    space with two gigabytes to spare, because threads and allocators reserve it without using it.
    """
    use = _own_use()
    if use:
        limit("RLIMIT_DATA", use["VmData"] + extra)
        limit("RLIMIT_AS", use["VmSize"] + extra + 2 * 2**30)


# -- Landlock ------------------------------------------------------------------------------------


@functools.lru_cache(1)
def landlock_version() -> int:
    """Return the version of Landlock that the kernel offers; 0 for none."""
    if not LINUX:
        return 0
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)))


def _all_rights(version: int) -> int:
    bits = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)
    return int((1 << bits) - 1)


def _allow(ruleset: int, path: str, rights: int) -> None:
    """Add a rule for a folder and all below it, or for a file; skip it if it is not there."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not os.path.isdir(path):
        rights &= _ON_FILES
    try:
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, place))
        _checked(_libc().syscall(_ADD_RULE, ruleset, 1, rule, 0))
    finally:
        os.close(place)


def landlock(readable: Iterable[str], writable: Iterable[str]) -> bool:
    """Confine this process to some files, without network (TCP), programs and signals to others.

    Returns
    -------
    bool
        Whether the kernel offers this.
    """
    version = landlock_version()
    if not version:
        return False
    everything = _all_rights(version)
    no_tcp = 0b11 if version >= 4 else 0
    no_signals = 0b11 if version >= 6 else 0
    fields = struct.pack("=QQQ", everything, no_tcp, no_signals)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _checked(
        _libc().syscall(
            _CREATE_RULESET, ctypes.create_string_buffer(fields), ctypes.c_size_t(size), 0
        )
    )
    for path in readable:
        _allow(ruleset, path, _READ_FILE | _READ_DIR)
    for path in writable:
        _allow(ruleset, path, everything & ~_EXECUTE)
    _prctl(_NO_NEW_PRIVILEGES, 1)
    _checked(_libc().syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)
    return True


# -- namespaces ----------------------------------------------------------------------------------


def unshare() -> bool:
    """Leave the network behind, and let children have process numbers of their own.

    Returns
    -------
    bool
        Whether the kernel allows this to an ordinary user. The process must have one thread only.
    """
    if not LINUX:
        return False
    if _libc().unshare(_NEW_USER | _NEW_NET | _NEW_PID | _NEW_IPC) == 0:
        return True
    if ctypes.get_errno() in (errno.EPERM, errno.EINVAL, errno.ENOSPC, errno.ENOSYS):
        return False
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def become(user: int) -> None:
    """Become another user for good; only root can."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
