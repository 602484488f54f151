"""What a server reports to the people who run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from ..model import JSON

__all__ = ["Notice", "Notify"]


class Notice(NamedTuple):
    """One line: *event* for machines, *text* for people, *fields* for both."""

    event: str
    text: str
    fields: Mapping[str, JSON] = {}


Notify: TypeAlias = Callable[[Notice], None]
"""Takes notices, from any thread, at once."""
