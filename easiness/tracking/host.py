"""Who is at work on this machine, and who left something behind and is gone."""

import os
import socket

# What is left behind names the machine, too: several of them may share a folder, each with processes of its own.
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
