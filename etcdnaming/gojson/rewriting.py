"""What was read, written again as Go's ``json.Marshal`` writes it: most of it by msgspec."""

from __future__ import annotations

import re

import msgspec

from ..model import JSON
from .writing import dumps_by_the_rules, is_plain

__all__ = ["dumps_again"]

_encode = msgspec.json.Encoder(order="sorted").encode

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


def _may_hold_floats(value: JSON, text: str) -> bool:
    """Tell by the types of what is flat, which is faster, and by the text of the rest."""
    flat = value.values() if type(value) is dict else (value,)
    return not _FLAT.issuperset(map(type, flat)) and bool(_FLOAT.search(text))
