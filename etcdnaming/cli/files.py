"""Reading what the user names: a file, or ``-`` for stdin."""

from __future__ import annotations

import sys

import click

__all__ = ["name_of", "read_bytes"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def name_of(path: str) -> str:
    """Return what to call *path* in a message."""
    return "stdin" if path == "-" else path


def read_bytes(path: str) -> bytes:
    """
    Return all of the file at *path*, without a byte order mark.

    Raises:
        click.UsageError: There is no such file, or it can't be read.
    """
    if path == "-" and sys.stdin is None:
        raise click.UsageError("stdin is closed")
    try:
        with click.open_file(path, "rb") as file:
            data: bytes = file.read()
            return data.removeprefix(_BYTE_ORDER_MARK)
    except OSError as exc:
        raise click.UsageError(f"{name_of(path)}: {exc.strerror}") from exc
