"""What the decoding child may not do: use much memory, write large files, gain privileges, reach networks."""

import ctypes
import os
import resource
import sys
import threading
import time

ADDRESS_SPACE_BYTES = 6 << 30  # a 40-megapixel H.264 stream with 16 reference pictures needs 1.5 GiB of it
WRITTEN_BYTES = 16 << 20  # nothing is written but a measuring tool's own notes
OPEN_FILES = 64
PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000  # linux/sched.h
CLONE_NEWNET = 0x40000000
SIGKILL = 9


def enter_sandbox(*, die_with_parent_thread: bool, parent: int) -> None:
    """Limit this process; call it once, after the imports and before any file is opened.

    Parameters
    ----------
    die_with_parent_thread : bool
        Ask the kernel to kill this process when the thread that started it ends. Only right when that
        thread is the parent's main thread: the kernel means the thread, not the process.
    parent : int
        Process id of the parent. A watching thread ends this process when it has another parent.
    """
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, ADDRESS_SPACE_BYTES)
    _limit(resource.RLIMIT_FSIZE, WRITTEN_BYTES)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        prctl = libc.prctl
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if _leave_network(libc):
            prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # a new user namespace took it, and with it /proc/PID
        # after the namespaces: the kernel forgets this signal when the credentials change
        if die_with_parent_thread:
            prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=_watch, args=(parent,), daemon=True, name="parent-watch").start()


def _leave_network(libc: ctypes.CDLL) -> bool:
    """Move to a network without interfaces where the kernel allows it; say whether it did.

    Sockets in the file system stay within reach. Root needs no user namespace for it, and in one it could no
    longer read the files of others; any other user gets one, in which nothing but this process is privileged.
    Called while the process has one thread: the kernel refuses a user namespace to several.
    """
    flags = CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWNET | CLONE_NEWUSER
    try:
        return libc.unshare(flags) == 0
    except AttributeError:  # a C library without it
        return False


def _limit(which: int, value: int) -> None:
    """Lower a limit, never above what is already allowed."""
    _, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
