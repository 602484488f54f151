"""Read a file that the user names, or stdin for ``-``."""

from __future__ import annotations

import sys

import click

__all__ = ["display_name", "read_bytes"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def display_name(path: str) -> str:
    """Return *path* as messages show it."""
    return "stdin" if path == "-" else path


def read_bytes(path: str) -> bytes:
    """
    Return all of the file at *path*, without a byte order mark.

    Raises:
        click.UsageError: The file can't be read.
    """
    if path == "-" and sys.stdin is None:
        raise click.UsageError("stdin is closed")
    try:
        with click.open_file(path, "rb") as file:
            data: bytes = file.read()
            return data.removeprefix(_BYTE_ORDER_MARK)
    except OSError as exc:
        raise click.UsageError(f"{display_name(path)}: {exc.strerror}") from exc
