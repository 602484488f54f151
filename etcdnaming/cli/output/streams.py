"""
Write results to stdout, and find out what the terminal of a stream supports.

Errors of stdout become an `OutputError`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

from ..failures import OutputError

__all__ = [
    "DEFAULT_SIZE",
    "blaming_stdout",
    "can_animate",
    "check_open",
    "columns_variable",
    "flush",
    "is_terminal",
    "terminal_size",
    "terminal_width",
    "wants_colour",
    "write",
    "write_whole",
]

BATCH = 1 << 17  # characters: few calls and little memory, however many endpoints there are

IN_MEMORY = 1 << 22
"""Bytes that `write_whole` keeps in memory; what is more lies in a temporary file."""

DEFAULT_SIZE = os.terminal_size((80, 24))
"""The size of a terminal that does not report it."""


def write(pieces: Iterable[str]) -> None:
    """
    Write *pieces* to stdout as UTF-8 in any locale, because keys and JSON are UTF-8.

    Raises:
        OutputError, BrokenPipeError: They can't be written.
    """
    for data in _encoded(pieces):
        _write_all(data)


def write_whole(pieces: Iterable[str]) -> None:
    """
    Write *pieces* as `write`, but not before the last of them is made: all of them, or nothing.

    Raises:
        OutputError, BrokenPipeError: They can't be written.
        OSError: The directory of temporary files can't be written.
    """
    from tempfile import SpooledTemporaryFile, gettempdir  # slow to import

    with SpooledTemporaryFile(IN_MEMORY) as file:
        for data in _encoded(pieces):
            try:
                file.write(data)
            except OSError as exc:
                raise OSError(exc.errno, exc.strerror, gettempdir()) from exc
        file.seek(0)
        while data := file.read(BATCH):
            _write_all(data)


def _encoded(pieces: Iterable[str]) -> Iterator[bytes]:
    batch, size = list[str](), 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece)
        if size >= BATCH:
            yield "".join(batch).encode()
            batch, size = [], 0
    if batch:
        yield "".join(batch).encode()


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


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether *stream* is a terminal."""
    return stream is not None and stream.isatty()


def can_animate(stream: TextIO | None) -> bool:
    """Return whether text on *stream* can be overwritten."""
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def wants_colour(stream: TextIO | None) -> bool:
    """
    Return whether *stream* gets colours: NO_COLOR wins, then FORCE_COLOR, then the terminal.

    Both count only if they are not empty (no-color.org, force-color.org).
    """
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or can_animate(stream)


def terminal_width(stream: TextIO | None) -> int:
    """Return the columns of *stream*; a pipe or a file has no limit."""
    if stream is None or not is_terminal(stream):
        return sys.maxsize
    return columns_variable() or terminal_size(stream.fileno()).columns


def columns_variable() -> int:
    """Return the value of ``COLUMNS``; 0 if it is not set or invalid."""
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isascii() and columns.isdecimal() else 0


def terminal_size(descriptor: int) -> os.terminal_size:
    """
    Return the current columns and lines of the terminal at *descriptor*.

    The terminals of docker, expect and serial lines often report 0, which means unknown.
    """
    found = os.get_terminal_size(descriptor)
    return os.terminal_size(
        (found.columns or DEFAULT_SIZE.columns, found.lines or DEFAULT_SIZE.lines)
    )
