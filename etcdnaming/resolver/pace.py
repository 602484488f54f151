"""How fast one inner channel follows another."""

from __future__ import annotations

from .inner import View

__all__ = ["SETTLE", "WARM", "spacing"]

SETTLE = 0.01
"""Seconds after a change in which others may come along, for one replacement of them all."""

WARM = 1.0
"""Seconds that a new inner channel may take to connect before it is used as it is."""

_AT_LEAST, _PER_ENDPOINT = 0.05, 0.0005


def spacing(view: View) -> float:
    """Return the seconds until *view* may be replaced: that connects to every endpoint anew."""
    return max(_AT_LEAST, _PER_ENDPOINT * len(view.endpoints))
