"""Contestants that take turns, so that whatever else the machine does is shared fairly."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["in_turns"]

Measured = TypeVar("Measured")


def in_turns(rounds: int, *contestants: Callable[[], Measured]) -> list[list[Measured]]:
    """Return what each measured in *rounds*, in which now the first, now the last begins."""
    measured: list[list[Measured]] = [[] for _ in contestants]
    order = list(zip(contestants, measured, strict=True))
    for _ in range(rounds):
        for contestant, found in order:
            found.append(contestant())
        order.reverse()
    return measured
