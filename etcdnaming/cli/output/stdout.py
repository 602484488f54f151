"""Write results to stdout; errors become an `OutputError`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ..failures import OutputError

__all__ = ["blaming_stdout", "check_open", "flush", "write"]

BATCH = 1 << 17  # characters: few calls and little memory, however many endpoints there are


def write(pieces: Iterable[str]) -> None:
    """
    Write *pieces* to stdout as UTF-8 in any locale, because keys and JSON are UTF-8.

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
    Check that stdout is open.

    Raises:
        OutputError: It was closed (``>&-``).
    """
    if sys.stdout is None:
        raise OutputError("stdout: closed")


def flush() -> None:
    """
    Write everything that is still in the buffer of stdout.

    Raises:
        OutputError, BrokenPipeError: It can't be written.
    """
    if sys.stdout is not None:
        with blaming_stdout():
            sys.stdout.flush()


def _write_all(data: bytes) -> None:
    check_open()
    # Under PYTHONUNBUFFERED the buffer is the raw file, which may write less than it is given.
    rest = memoryview(data)
    with blaming_stdout():
        while rest:
            rest = rest[sys.stdout.buffer.write(rest) :]


@contextmanager
def blaming_stdout() -> Iterator[None]:
    """
    Turn an OSError of the block into an error of stdout.

    Raises:
        OutputError, BrokenPipeError: It can't be written.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise OutputError(f"stdout: {exc.strerror}") from exc
