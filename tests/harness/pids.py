"""Find parents and children of processes in /proc."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .waiting import wait_until

__all__ = ["NAMESPACE", "child_of", "has_ended", "parent_of", "pids"]

NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc"]
"""Runs the arguments that follow as PID 1, as in a container."""


def child_of(parent: int) -> int:
    """Wait until *parent* has a child, and return its process ID."""
    found: list[int] = []

    def look() -> bool:
        found[:] = [pid for pid in pids() if parent_of(pid) == parent]
        return bool(found)

    wait_until(look)
    return found[0]


def pids() -> Iterator[int]:
    """Yield the IDs of all processes."""
    return (int(path.name) for path in Path("/proc").glob("[0-9]*"))


def parent_of(pid: int) -> int:
    """Return the parent of a process; 0 if the process has exited, reaped or not."""
    try:
        state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if state == "Z" else int(parent)


def has_ended(pid: int) -> bool:
    """Return whether a process has exited, reaped or not."""
    return parent_of(pid) == 0
