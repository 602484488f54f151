"""Contestants that take turns, so that whatever else the machine does is shared fairly."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["in_turns"]

Measured = TypeVar("Measured")


def in_turns(
    rounds: int, ours: Callable[[], Measured], theirs: Callable[[], Measured]
) -> tuple[list[Measured], list[Measured]]:
    """Return what each measured in *rounds*, in which now one, now the other begins."""
    measured: tuple[list[Measured], list[Measured]] = ([], [])
    contestants = list(zip((ours, theirs), measured, strict=True))
    for _ in range(rounds):
        for contestant, found in contestants:
            found.append(contestant())
        contestants.reverse()
    return measured
