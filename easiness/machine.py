"""Cores, memory, processes, signals and locks of this machine, on every operating system."""

import contextlib
import os
import signal
import socket
from pathlib import Path

import psutil

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

# Several machines may share a folder, and their process ids say nothing elsewhere.
HOST = socket.gethostname()

# Signals that a scheduler, container or terminal stops a program with; Windows has two of them.
STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

# Flags to open a file that a stranger named: no wait for a pipe, and no translation of line ends.
OPEN_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

_CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def usable_cores() -> int:
    """Number of cores that this process may use; where a system cannot say, of all cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int:
    """Memory of this machine, or of the container that this process is in."""
    memory = psutil.virtual_memory().total
    for limit in _CONTAINER_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            memory = min(memory, int(Path(limit).read_text()))
    return memory


def process_mark() -> str:
    """Mark of this process: its id and its start, since ids are used again (in a container, from 1 each time)."""
    return f"{os.getpid()}-{_start_of(os.getpid())}"


def is_alive(mark: str) -> bool:
    """Whether the process of this machine with that mark is still at work; a zombie is not."""
    pid, _, start = mark.partition("-")
    return _start_of(int(pid)) == start


def wait_for_end(pid: int) -> None:
    """Wait until there is no process with this id."""
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait()


def has_process_with(name: str, value: str) -> bool:
    """Whether a process of this user and machine has an environment variable with this value."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(name) == value:
                return True
    return False


def take_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file without waiting; False if another process has it. The lock goes when the file is closed.

    An OSError where the file system has no locks.
    """
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        elif not shared:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _start_of(pid: int) -> str:
    """Start of a process; empty if there is none, or only its zombie."""
    if not os.path.isdir("/proc/self"):
        try:
            process = psutil.Process(pid)
            return "" if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
        except psutil.Error:
            return ""
    # In ticks since the machine's own start: a time of day would change whenever the clock is set. The name of the
    # program, in brackets, may hold anything.
    state, *rest = _read(Path(f"/proc/{pid}/stat")).decode(errors="replace").rpartition(")")[2].split() or ["Z"]
    return "" if state in "ZX" else rest[18]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended, or is another user's
        return b""
