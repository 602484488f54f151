"""How many there are, in words."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, noun: str) -> str:
    """
    Return the number with its noun.

    >>> counted(1, "endpoint"), counted(2, "endpoint")
    ('1 endpoint', '2 endpoints')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
