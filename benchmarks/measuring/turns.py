"""Run contestants in turns, so that other load on the machine affects all of them equally."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["in_turns"]

Measured = TypeVar("Measured")


def in_turns(rounds: int, *contestants: Callable[[], Measured]) -> list[list[Measured]]:
    """Return the measurements of each contestant; the order is reversed after each round."""
    measured: list[list[Measured]] = [[] for _ in contestants]
    order = list(zip(contestants, measured, strict=True))
    for _ in range(rounds):
        for contestant, found in order:
            found.append(contestant())
        order.reverse()
    return measured
