"""What this process has of the system."""

from __future__ import annotations

from pathlib import Path

__all__ = ["connections", "descriptors", "resident"]


def descriptors() -> int:
    """Return how many files and sockets it has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def resident() -> int:
    """Return how many bytes of memory it has."""
    return 4096 * int(Path("/proc/self/statm").read_text("ascii").split()[1])


def connections(port: int) -> int:
    """Return how many established connections this process has to *port* of this machine."""
    # gRPC dials IPv4, too, from a socket of IPv6.
    lines = [
        line.split()
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text("ascii").splitlines()[1:]
    ]
    inodes = {row[9] for row in lines if row[2].endswith(f":{port:04X}") and row[3] == "01"}
    sockets = {f"socket:[{inode}]" for inode in inodes}
    return len(sockets.intersection(map(_target, Path("/proc/self/fd").iterdir())))


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except FileNotFoundError:  # the descriptor of the directory itself
        return ""
