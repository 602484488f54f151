"""
The stored form of an endpoint: JSON shared with Go's ``client/v3/naming`` since etcd 3.1.

    {"Op":0,"Addr":"10.0.0.1:8080","Metadata":{"zone":"a"}}

Other clients read what this package writes and write what it reads, so the format must stay
compatible. Encoding produces the bytes that Go produces. Decoding accepts what Go accepts, with the
same result except for one deliberate difference: integers keep all their digits.

Importing this package costs little: msgspec is imported when the first value is decoded.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from ..errors import InvalidValueError
from ..model import JSON, Endpoint
from .encoding import dumps, dumps_again, dumps_rows, encode

__all__ = ["decode", "decode_all", "dumps", "dumps_again", "dumps_rows", "encode", "loads"]


def decode(value: bytes) -> Endpoint:
    """
    Return the endpoint that Go would read from *value*.

    >>> decode(b'{"addr": "10.0.0.1:80", "since": 2021}')
    Endpoint(addr='10.0.0.1:80', metadata=None)

    Raises:
        InvalidValueError: Go would refuse the value.
    """
    return _decode_value()(value)


def decode_all(values: Sequence[bytes]) -> Sequence[Endpoint | InvalidValueError]:
    """Return, for each of *values*, what `decode` returns or raises."""
    return _decode_values()(values)


@functools.cache
def _decode_value() -> Callable[[bytes], Endpoint]:
    from .decoding import decode_value

    return decode_value


@functools.cache
def _decode_values() -> Callable[[Sequence[bytes]], Sequence[Endpoint | InvalidValueError]]:
    from .decoding import decode_values

    return decode_values


def loads(text: str | bytes) -> JSON:
    """
    Return the metadata that a JSON text stands for, by the rules for stored values.

    Unlike in a stored value, invalid UTF-8 is refused: here its author can still correct it.

    >>> loads('{"weight": 12345678901234567890123, "weights": [-0]}')
    {'weight': 12345678901234567890123, 'weights': [-0.0]}

    Raises:
        InvalidValueError: *text* is not JSON that Go can read.
    """
    from .json_reader import Cursor

    try:
        cursor = Cursor((text if isinstance(text, bytes) else text.encode()).decode())
    except UnicodeError:
        raise InvalidValueError("not UTF-8") from None
    value = cursor.value()
    cursor.end()
    return value
