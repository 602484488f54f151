"""
Run a server for no longer than its owner lives.

    python keeper.py DIRECTORY PROGRAM ARGUMENTS...

A script of its own, between owner and server, because no setting of the kernel does this whole:
Linux can kill a child with its parent, but means the parent's *thread*, and nothing removes files.

stdin:  Held open by the owner. When it closes, however the owner ended, or anything is written
        to it, the server is killed and DIRECTORY removed.
stdout: One line, the server's process id. Closed when the server has ended.
stderr: The server's own stdout and stderr.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from functools import partial

__all__ = ["main"]

STDIN, STDOUT, STDERR = range(3)
PR_SET_PDEATHSIG = 1


def main(directory: str, *command: str) -> int:
    """Return the exit status of the server; negative, if a signal ended it."""
    ended, held = os.pipe()  # closes when the server, the only one to hold it, has ended
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=STDERR,
        pass_fds=[held],
        # Not for processes with threads: this has none.
        preexec_fn=partial(_die_with, os.getpid()),  # noqa: PLW1509
    )
    os.close(held)
    os.write(STDOUT, b"%d\n" % server.pid)

    ready, _, _ = select.select([STDIN, ended], [], [])
    if STDIN in ready:
        server.kill()
    status = server.wait()
    if STDIN in ready:
        shutil.rmtree(directory, ignore_errors=True)
    return status


def _die_with(keeper: int) -> None:
    """Run in the child, between fork and exec."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != keeper:  # it died before the kernel was told
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
