"""Write decoded JSON again as Go's ``json.Marshal`` writes it, mostly by msgspec, which is fast."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec

from ..model import JSON
from .json_writer import dumps_by_go_rules, is_plain

__all__ = ["dumps_again", "dumps_rows"]

_encode = msgspec.json.Encoder(order="deterministic").encode

_FLAT = frozenset({str, int, bool, type(None)})

# Go has its own notation for floats. A false match inside a string only costs time.
_FLOAT = re.compile(r"[:,\[]-?[0-9]+[.eE]")


def dumps_again(value: JSON) -> str:
    r"""
    Return what `dumps` returns for *value*, which must have been decoded from JSON.

    Other Python values (sets, dates) are written as msgspec likes, which Go may not read.

    >>> dumps_again({"b": 1.0, "a": "x & y"})
    '{"a":"x \\u0026 y","b":1}'
    """
    try:
        text = _encode([value]).decode()
    except RecursionError:
        return dumps_by_go_rules(value)
    if is_plain(text) and not _may_hold_floats(value, text):
        return text[1:-1]
    return dumps_by_go_rules(value)


def dumps_rows(names: tuple[str, ...], columns: Sequence[Sequence[JSON]]) -> str | None:
    """
    Return comma-separated objects with the members *names*, one for each row of *columns*.

    Much faster than object by object; ``None`` if Go might write a value differently.

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
    """Return whether *values* are, and their dicts hold, only scalars that are not floats."""
    kinds = set(map(type, values))
    if dict in kinds:
        inside = chain.from_iterable(each.values() for each in values if type(each) is dict)
        kinds = (kinds - {dict}) | set(map(type, inside))
    return kinds <= _FLAT


def _may_hold_floats(value: JSON, text: str) -> bool:
    """Return whether *value* may hold a float: by type where it is flat, else by its *text*."""
    flat = value.values() if type(value) is dict else (value,)
    return not _FLAT.issuperset(map(type, flat)) and bool(_FLOAT.search(text))
