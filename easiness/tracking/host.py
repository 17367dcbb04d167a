"""Name of this machine and its living processes, to tell the leftovers of dead ones."""

import os
import socket

# Leftovers name the machine, too: several machines may share a folder, and their process ids say nothing elsewhere.
HOST = socket.gethostname()


def is_alive(pid: int) -> bool:
    """Whether a process of this machine is still there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
