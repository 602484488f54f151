"""The one way out for results."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ..failures import OutputError

__all__ = ["blaming_stdout", "check_open", "flush", "write"]

BATCH = 1 << 17  # characters; few calls for many endpoints, little memory for all of them


def write(pieces: Iterable[str]) -> None:
    """
    Write *pieces* to stdout as UTF-8, whatever the locale says: keys and JSON are UTF-8.

    Raises:
        OutputError, BrokenPipeError: They can't be written.
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
        OutputError: It was closed (``>&-``).
    """
    if sys.stdout is None:
        raise OutputError("stdout: closed")


def flush() -> None:
    """
    Let everything be written that stdout still keeps back.

    Raises:
        OutputError, BrokenPipeError: It can't be written.
    """
    if sys.stdout is not None:
        with blaming_stdout():
            sys.stdout.flush()


def _write_all(data: bytes) -> None:
    check_open()
    # Under PYTHONUNBUFFERED the buffer is the bare file, which may take less than it is given.
    rest = memoryview(data)
    with blaming_stdout():
        while rest:
            rest = rest[sys.stdout.buffer.write(rest) :]


@contextmanager
def blaming_stdout() -> Iterator[None]:
    """
    Let an error of the block be one of stdout.

    Raises:
        OutputError, BrokenPipeError: It can't be written.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise OutputError(f"stdout: {exc.strerror}") from exc
