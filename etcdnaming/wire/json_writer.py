"""
Write JSON as Go's ``json.Marshal`` writes it, and refuse what Go could not read again.

Nothing here recurses (the quick path falls back), so the limit of nesting is Go's, not Python's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any, TypeAlias

from ..errors import InvalidEndpointError
from ..model import JSON

__all__ = ["MAX_DEPTH", "dumps", "dumps_by_go_rules", "is_plain"]

MAX_DEPTH = 9_999
"""How deep metadata may be nested: Go refuses more than 10,000, and the endpoint itself is one."""

_BYTES = (bytes, bytearray, memoryview)  # sequences for which JSON has no form

_LARGE = 1 << 64  # far below the limit of Go's float64

_Container: TypeAlias = Sequence[JSON] | Mapping[str, JSON]
_Parts: TypeAlias = Iterator[str | _Container]

# Go escapes < > & and the two line separators, so that JSON is safe inside HTML and JavaScript.
_SPECIAL = re.compile('["\\\\\x00-\x1f<>&\u2028\u2029\ud800-\udfff]')
_SHORT_ESCAPES = {
    '"': r"\"",
    "\\": r"\\",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
}


def dumps(value: JSON) -> str:
    r"""
    Return metadata as it is stored: compact JSON in Go's notation.

    >>> dumps({"b": [1e21, 1e-7, None], "a": "x & y"})
    '{"a":"x \\u0026 y","b":[1e+21,1e-7,null]}'

    Raises:
        InvalidEndpointError: Go could not read the result.
    """
    try:
        text = _QUICK[type(value)](value)
    except _NOT_QUICK:
        return dumps_by_go_rules(value)
    return text if is_plain(text) else dumps_by_go_rules(value)


def dumps_by_go_rules(value: JSON) -> str:
    """Return or raise what `dumps` does, without the quick path."""
    whole = _text(value)
    if isinstance(whole, str):
        return whole
    written: list[str] = []
    unfinished = [_parts(whole)]  # an explicit stack: Python's own is not deep enough
    while unfinished:
        for part in unfinished[-1]:
            if not isinstance(part, str):
                unfinished.append(_parts(part))
                break
            written.append(part)
        else:
            unfinished.pop()
        if len(unfinished) > MAX_DEPTH:
            raise InvalidEndpointError(f"metadata is nested more than {MAX_DEPTH} deep")
    return "".join(written)


def _parts(container: _Container) -> _Parts:
    """Yield the text of *container* in pieces; an inner container is yielded itself."""
    return _object(container) if isinstance(container, Mapping) else _array(container)


def _object(members: Mapping[str, JSON]) -> _Parts:
    before = "{"
    for name in _sorted_names(members):
        yield f"{before}{_string(name)}:"
        yield _text(members[name])
        before = ","
    yield "}" if members else "{}"


def _array(elements: Sequence[JSON]) -> _Parts:
    before = "["
    for element in elements:
        yield before
        yield _text(element)
        before = ","
    yield "]" if elements else "[]"


def _sorted_names(members: Mapping[str, JSON]) -> list[str]:
    for name in members:
        if not isinstance(name, str):
            raise InvalidEndpointError(f"a member's name is not a str but {_kind(name)}")
    return sorted(members)  # by code point, which is also the order of the UTF-8 bytes


def _text(value: JSON) -> str | _Container:
    """Return the text of *value*, or *value* itself if it is a container."""
    if isinstance(value, str):
        return _string(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, (Mapping, Sequence)) and not isinstance(value, _BYTES):
        return value
    raise InvalidEndpointError(f"metadata can't hold {_kind(value)}")


def _string(text: str) -> str:
    if is_plain(text):
        return encode_basestring(text)  # in C, with the same result
    return '"' + _SPECIAL.sub(_escape, text) + '"'


def is_plain(text: str) -> bool:
    """Return whether Go escapes the same characters of *text* as Python does."""
    return text.isascii() and not ("<" in text or ">" in text or "&" in text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if "\ud800" <= character <= "\udfff":
        raise InvalidEndpointError(f"half of a surrogate pair in text: {character!r}")
    return _SHORT_ESCAPES.get(character) or f"\\u{ord(character):04x}"


def _integer(value: int) -> str:
    if -_LARGE < value < _LARGE:
        return int.__repr__(value)
    try:
        float(value)
    except OverflowError:
        raise InvalidEndpointError("an integer is beyond the range of Go's float64") from None
    return int.__repr__(value)


def _float(value: float) -> str:
    """Return the shortest digits of *value*, with an exponent where Go writes one."""
    if not math.isfinite(value):
        raise InvalidEndpointError(f"{value} has no form in JSON")
    digits, _, exponent = float.__repr__(value).removesuffix(".0").partition("e")
    if not exponent:
        return digits
    if not 1e-6 <= abs(value) < 1e21:
        return f"{digits}e{exponent[0]}{exponent[1:].lstrip('0')}"
    return _shift(digits, int(exponent))


def _shift(digits: str, exponent: int) -> str:
    """
    Write *digits* times ten to the *exponent* without an exponent.

    >>> _shift("-1.5", 17), _shift("1.5", -5)
    ('-150000000000000000', '0.000015')
    """
    sign, digits = ("-", digits[1:]) if digits[0] == "-" else ("", digits)
    digits = digits.replace(".", "")
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    return sign + digits.ljust(exponent + 1, "0")


def _kind(value: object) -> str:
    return type(value).__name__


def _quick_object(members: dict[str, JSON]) -> str:
    written = [
        f"{encode_basestring(name)}:{_QUICK[type(value)](value)}"
        for name, value in sorted(members.items())
    ]
    return "{" + ",".join(written) + "}"


def _quick_array(elements: list[JSON]) -> str:
    return "[" + ",".join([_QUICK[type(element)](element) for element in elements]) + "]"


# The quick path, ten times faster, for the types that nearly all metadata consists of. Whether a
# string needs Go's escapes is checked once, on the whole text.
_QUICK: Mapping[type, Callable[[Any], str]] = {
    str: encode_basestring,
    int: _integer,
    float: _float,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _: "null",
    dict: _quick_object,
    list: _quick_array,
}
_NOT_QUICK = (KeyError, TypeError, RecursionError)
"""Raised by the quick path: another type, a name that is not text, nesting too deep for Python."""
