"""What was read, written again as Go's ``json.Marshal`` writes it: most of it by msgspec."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec

from ..model import JSON
from .writing import dumps_by_the_rules, is_plain

__all__ = ["dumps_again", "dumps_rows"]

_encode = msgspec.json.Encoder(order="deterministic").encode

_FLAT = frozenset({str, int, bool, type(None)})

# Go has a notation of its own for these. In a text it may be none, which does no harm.
_FLOAT = re.compile(r"[:,\[]-?[0-9]+[.eE]")


def dumps_again(value: JSON) -> str:
    r"""
    Return what `dumps` returns for *value*, which was read: so it is made of what JSON has.

    What is not is msgspec's to write, and may be no JSON that Go can read.

    >>> dumps_again({"b": 1.0, "a": "x & y"})
    '{"a":"x \\u0026 y","b":1}'
    """
    try:
        text = _encode([value]).decode()
    except RecursionError:
        return dumps_by_the_rules(value)
    if is_plain(text) and not _may_hold_floats(value, text):
        return text[1:-1]
    return dumps_by_the_rules(value)


def dumps_rows(names: tuple[str, ...], columns: Sequence[Sequence[JSON]]) -> str | None:
    """
    Return an object with the members *names* for each row of *columns*, with commas between.

    All at once is much faster than one by one; but ``None`` if Go might write it otherwise.

    >>> dumps_rows(("addr", "metadata"), [("a", "b"), ({"y": 1, "x": 2}, None)])
    '{"addr":"a","metadata":{"x":2,"y":1}},{"addr":"b","metadata":null}'
    """
    if not all(map(_is_flat, columns)):
        return None
    try:
        text = _encode([*map(_row(names), *columns)]).decode()
    except UnicodeEncodeError:
        return None
    return text[1:-1] if is_plain(text) else None


@functools.cache
def _row(names: tuple[str, ...]) -> type[msgspec.Struct]:
    return msgspec.defstruct("Row", names)


def _is_flat(values: Iterable[JSON]) -> bool:
    """Tell whether *values* are no floats, and hold none; what is nested deeper may hold some."""
    kinds = set(map(type, values))
    if dict in kinds:
        inside = chain.from_iterable(each.values() for each in values if type(each) is dict)
        kinds = (kinds - {dict}) | set(map(type, inside))
    return kinds <= _FLAT


def _may_hold_floats(value: JSON, text: str) -> bool:
    """Tell by the types of what is flat, which is faster, and by the text of the rest."""
    flat = value.values() if type(value) is dict else (value,)
    return not _FLAT.issuperset(map(type, flat)) and bool(_FLOAT.search(text))
