"""The orders in which endpoints and keys are printed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, TypeVar

from ...model import StoredEndpoint, StoredKey

__all__ = ["ORDERS", "natural", "sort"]

Found = TypeVar("Found", StoredEndpoint, StoredKey)
_Sortable: TypeAlias = tuple[Any, ...]


def natural(text: str) -> _Sortable:
    """
    Return what *text* is compared by: numbers in it by their value, the rest as text.

    >>> sorted(["i10", "i2", "i"], key=natural)
    ['i', 'i2', 'i10']
    """
    parts: list[Any] = re.split("([0-9]+)", text)
    parts[1::2] = map(_number, parts[1::2])
    return parts, text


def _number(digits: str) -> tuple[int, str]:
    # By length first: Python does not convert thousands of digits.
    digits = digits.lstrip("0")
    return (len(digits), digits)


ORDERS: dict[str, Callable[[Any], _Sortable]] = {
    "key": lambda found: natural(found.key),
    "addr": lambda found: (natural(found.endpoint.addr), natural(found.key)),
    "lease": lambda found: (found.lease, natural(found.key)),
    "modified": lambda found: (found.mod_revision, natural(found.key)),
}
"""The values of ``--sort``: what *found* is compared by."""


def sort(found: Iterable[Found], order: str) -> list[Found]:
    """Return *found* in an order of `ORDERS`."""
    return sorted(found, key=ORDERS[order])
