"""
What is said to people: one line each, on stderr.

Any of it may quote etcd, a file or the user, so it is text, never escape codes.
"""

from __future__ import annotations

import sys

from ..printable import printable

__all__ = ["debug", "error", "say", "warn"]


def error(text: str) -> None:
    """Say why the command failed."""
    say(f"Error: {text}")


def warn(text: str) -> None:
    """Say what is odd, although the command goes on."""
    say(f"Warning: {text}")


def debug(text: str) -> None:
    """Say what only ``--debug`` wants to know."""
    say(f"Debug: {text}")


def say(text: str) -> None:
    """Say *text* as it is. If nobody can hear it, the exit code has to do."""
    if sys.stderr is None:
        return
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except BrokenPipeError:
        raise
    except OSError:
        return
