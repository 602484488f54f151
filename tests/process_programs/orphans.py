"""
Leave many orphans; print how many the parent adopted, and how many of them it did not reap.

    python orphans.py COUNT
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def leave_orphan(report: int) -> None:
    """Fork twice; the second child writes the ID of its new parent to *report*."""
    middle = os.fork()
    if middle:
        os.waitpid(middle, 0)
        return
    middle = os.getpid()
    if os.fork() == 0:
        while os.getppid() == middle:
            time.sleep(0.001)
        os.write(report, b"%d\n" % os.getppid())
    os._exit(0)


def zombies(parent: int) -> int:
    """Return how many exited children *parent* has not reaped."""
    found = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, of, *_ = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # the process has exited
        found += state == "Z" and int(of) == parent
    return found


reader, writer = os.pipe()
for _ in range(int(sys.argv[1])):
    leave_orphan(writer)
os.close(writer)
with open(reader) as reports:
    parents = [int(line) for line in reports]
deadline = time.monotonic() + 10
# No exact count afterwards: the parent may have other children, which exit at any time.
while (left := zombies(os.getppid())) and time.monotonic() < deadline:
    time.sleep(0.01)
sys.stdout.write(f"{parents.count(os.getppid())} adopted, {left} left\n")
sys.exit(7)
