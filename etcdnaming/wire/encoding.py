"""
Write endpoints, and JSON as Go's ``json.Marshal`` writes it; refuse what Go could not read again.

Nothing here recurses (the quick path falls back), so the limit of nesting is Go's, not Python's.
What was decoded from JSON is written again mostly by msgspec, which is fast.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from json.encoder import encode_basestring
from typing import Any, TypeAlias

from ..errors import InvalidEndpointError
from ..model import JSON, Endpoint

__all__ = ["MAX_DEPTH", "dumps", "dumps_again", "dumps_by_go_rules", "dumps_rows", "encode"]

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


def encode(endpoint: Endpoint) -> bytes:
    """
    Return the bytes that Go would store for *endpoint*.

    >>> encode(Endpoint("10.0.0.1:80", {"weight": 1.0, "up": True}))
    b'{"Op":0,"Addr":"10.0.0.1:80","Metadata":{"up":true,"weight":1}}'

    Raises:
        InvalidEndpointError: The address is not text, or Go could not read the metadata.
    """
    if not isinstance(endpoint.addr, str):
        raise InvalidEndpointError(f"the address is not a str but {_kind(endpoint.addr)}")
    addr, metadata = dumps(endpoint.addr), dumps(endpoint.metadata)
    return f'{{"Op":0,"Addr":{addr},"Metadata":{metadata}}}'.encode()


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
    return text if _is_plain(text) else dumps_by_go_rules(value)


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
    if _is_plain(text):
        return encode_basestring(text)  # in C, with the same result
    return '"' + _SPECIAL.sub(_escape, text) + '"'


def _is_plain(text: str) -> bool:
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
        text = _encoder()([value]).decode()
    except RecursionError:
        return dumps_by_go_rules(value)
    if _is_plain(text) and not _may_hold_floats(value, text):
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
        text = _encoder()([*map(_row(names), *columns)]).decode()
    except UnicodeEncodeError:
        return None
    return text[1:-1] if _is_plain(text) else None


@functools.cache
def _encoder() -> Callable[[object], bytes]:
    import msgspec  # slow to import, and not needed to store an endpoint

    return msgspec.json.Encoder(order="deterministic").encode


@functools.cache
def _row(names: tuple[str, ...]) -> Callable[..., object]:
    import msgspec

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
