"""
Print messages on stderr, one line each.

A message may quote etcd, a file or the user, so escape codes in it are never sent to the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..printable import printable

__all__ = ["debug", "error", "is_quiet", "quiet", "say", "warn"]

_quiet = False


@contextmanager
def quiet(on: bool) -> Iterator[None]:
    """In the block, print no warnings and no notes if *on* is set; errors are always printed."""
    global _quiet  # noqa: PLW0603 - stderr itself is global
    before, _quiet = _quiet, on
    try:
        yield
    finally:
        _quiet = before


def is_quiet() -> bool:
    """Return whether only errors are printed."""
    return _quiet


def error(text: str) -> None:
    """Print why the command failed."""
    _print(f"Error: {text}")


def warn(text: str) -> None:
    """Print a warning; the command goes on."""
    say(f"Warning: {text}")


def debug(text: str) -> None:
    """Print a message for ``--debug``."""
    _print(f"Debug: {text}")


def say(text: str) -> None:
    """Print a note, which is *text* as it is."""
    if not _quiet:
        _print(text)


def _print(text: str) -> None:
    """Print *text*. If stderr is closed or full, it is lost."""
    if sys.stderr is None:
        return
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except BrokenPipeError:
        raise
    except OSError:
        return
