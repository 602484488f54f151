"""A listening unix socket that only this process can connect to, and that leaves no file behind."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import tempfile
from pathlib import Path

__all__ = ["PrivateSocket"]

DESCRIPTORS = Path("/proc/self/fd")


class PrivateSocket:
    """
    A listening socket. `uri` is what gRPC connects to.

    On Linux the socket's file is opened as a mere path, and deleted: ``/proc/self/fd/N`` still
    leads to it, for this process alone. Elsewhere the file stays until the end of the process, in a
    directory that only this user can enter.

    Args:
        number: The descriptor that the path has to have: that of the parent, in a child process.
    """

    def __init__(self, number: int | None = None) -> None:
        directory = tempfile.mkdtemp(prefix="etcdnaming-")  # mode 0700
        path = f"{directory}/xds"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(16)
        self.listener.settimeout(0)
        self.number: int | None = None
        if not DESCRIPTORS.is_dir():
            atexit.register(shutil.rmtree, directory, ignore_errors=True)
            self.uri = f"unix:{path}"
            return
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        shutil.rmtree(directory)
        if number is not None and number != opened:
            os.dup2(opened, number, inheritable=False)
            os.close(opened)
            opened = number
        self.number, self.uri = opened, f"unix:{DESCRIPTORS}/{opened}"

    def leave_to_parent(self) -> int | None:
        """
        Close it in a child process; return the number of the path, which leads nowhere now.

        gRPC in the child must not reach the parent's server by it.
        """
        self.listener.close()
        if self.number is not None:
            nowhere = os.open(os.devnull, os.O_PATH | os.O_CLOEXEC)
            os.dup2(nowhere, self.number, inheritable=False)
            os.close(nowhere)
        return self.number
