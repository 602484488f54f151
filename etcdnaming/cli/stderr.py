"""
What is said to people: one line each, on stderr.

Any of it may quote etcd, a file or the user, so it is text, never escape codes.
"""

from __future__ import annotations

import sys

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
    if not text.isprintable():
        from .output.spelling import printable  # brings json, which --help need not pay for

        text = printable(text)
    try:
        print(text, file=sys.stderr, flush=True)
    except BrokenPipeError:
        raise
    except OSError:
        return
