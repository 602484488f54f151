"""
Print messages on stderr, one line each.

A message may quote etcd, a file or the user, so escape codes in it are never sent to the terminal.
"""

from __future__ import annotations

import sys

from ..printable import printable

__all__ = ["debug", "error", "say", "warn"]


def error(text: str) -> None:
    """Print why the command failed."""
    say(f"Error: {text}")


def warn(text: str) -> None:
    """Print a warning; the command goes on."""
    say(f"Warning: {text}")


def debug(text: str) -> None:
    """Print a message for ``--debug``."""
    say(f"Debug: {text}")


def say(text: str) -> None:
    """Print *text* as it is. If stderr is closed or full, the message is lost."""
    if sys.stderr is None:
        return
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except BrokenPipeError:
        raise
    except OSError:
        return
