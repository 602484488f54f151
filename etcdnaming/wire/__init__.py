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

from ..errors import InvalidEndpointError, InvalidValueError
from ..model import JSON, Endpoint
from .json_writer import dumps

__all__ = ["decode", "decode_all", "dumps", "dumps_again", "dumps_rows", "encode", "loads"]


def encode(endpoint: Endpoint) -> bytes:
    """
    Return the bytes that Go would store for *endpoint*.

    >>> encode(Endpoint("10.0.0.1:80", {"weight": 1.0, "up": True}))
    b'{"Op":0,"Addr":"10.0.0.1:80","Metadata":{"up":true,"weight":1}}'

    Raises:
        InvalidEndpointError: The address is not text, or Go could not read the metadata.
    """
    if not isinstance(endpoint.addr, str):
        raise InvalidEndpointError(f"the address is not a str but {type(endpoint.addr).__name__}")
    addr, metadata = dumps(endpoint.addr), dumps(endpoint.metadata)
    return f'{{"Op":0,"Addr":{addr},"Metadata":{metadata}}}'.encode()


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


def dumps_again(metadata: JSON) -> str:
    """Return what `dumps` returns, faster, for *metadata* that was decoded from JSON."""
    return _dumps_again()(metadata)


def dumps_rows(names: tuple[str, ...], columns: Sequence[Sequence[JSON]]) -> str | None:
    """
    Return comma-separated JSON objects with the members *names*, one for each row of *columns*.

    The values must have been decoded from JSON. Much faster than object by object; ``None`` if a
    value needs Go's own notation (floats, escapes), so that the caller must use `dumps_again`.
    """
    from .json_rewriter import dumps_rows

    return dumps_rows(names, columns)


@functools.cache
def _dumps_again() -> Callable[[JSON], str]:
    from .json_rewriter import dumps_again

    return dumps_again


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
