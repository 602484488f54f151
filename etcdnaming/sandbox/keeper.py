"""
Run a server, and end it when the process that owns it ends.

    python keeper.py DIRECTORY PROGRAM ARGUMENTS...

A process between owner and server, because no kernel setting is enough: Linux can kill a child when
its parent's *thread* ends, which is too early, and does not remove files.

stdin:  Kept open by the owner. When it closes, however the owner ended, or anything is written
        to it, the server is killed and DIRECTORY removed.
stdout: One line, the server's process ID. Closed when the server has exited.
stderr: The server's stdout and stderr.
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
    """Return the exit status of the server; -n if signal n killed it."""
    # Only the server keeps the writing end, so the pipe closes when it exits.
    exited, inherited = os.pipe()
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=STDERR,
        pass_fds=[inherited],
        # Safe, since this process has a single thread.
        preexec_fn=partial(_die_with, os.getpid()),  # noqa: PLW1509
    )
    os.close(inherited)
    os.write(STDOUT, b"%d\n" % server.pid)

    ready, _, _ = select.select([STDIN, exited], [], [])
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
    if os.getppid() != keeper:  # the keeper died before the call above
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
