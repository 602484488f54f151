"""The one way out for results."""

from __future__ import annotations

import sys
from collections.abc import Iterable

__all__ = ["check_open", "write"]

BATCH = 1 << 17  # characters; few calls for many endpoints, little memory for all of them


def write(pieces: Iterable[str]) -> None:
    """
    Write *pieces* to stdout as UTF-8, whatever the locale says: keys and JSON are UTF-8.

    Raises:
        OSError: They can't be written.
    """
    batch, size = list[str](), 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece)
        if size >= BATCH:
            _write_all("".join(batch).encode())
            batch, size = [], 0
    if batch:
        _write_all("".join(batch).encode())


def check_open() -> None:
    """
    Make sure that there is a stdout.

    Raises:
        OSError: It was closed (``>&-``).
    """
    if sys.stdout is None:
        raise OSError("closed")


def _write_all(data: bytes) -> None:
    check_open()
    # Under PYTHONUNBUFFERED the buffer is the bare file, which may take less than it is given.
    rest = memoryview(data)
    while rest:
        rest = rest[sys.stdout.buffer.write(rest) :]
