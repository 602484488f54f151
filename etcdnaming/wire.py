"""
Endpoints as they are stored in etcd: JSON shared with Go's ``client/v3/naming`` since etcd 3.1.

    {"Op":0,"Addr":"10.0.0.1:8080","Metadata":{"zone":"a"}}

Others read what is written here and write what is read here, so the format only ever grows.
Written are the bytes that Go writes. Read is what Go reads, with the same result but for one
difference: integers keep all their digits.

What needs msgspec is imported by the first who reads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from .errors import InvalidEndpointError, InvalidValueError
from .gojson.writing import dumps
from .model import JSON, Endpoint

__all__ = ["decode", "decode_all", "dumps", "dumps_again", "dumps_rows", "encode", "loads"]


def encode(endpoint: Endpoint) -> bytes:
    """
    Return the value that Go would store for *endpoint*.

    >>> encode(Endpoint("10.0.0.1:80", {"weight": 1.0, "up": True}))
    b'{"Op":0,"Addr":"10.0.0.1:80","Metadata":{"up":true,"weight":1}}'

    Raises:
        InvalidEndpointError: Its address is not text, or its metadata not JSON that Go can read.
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
        InvalidValueError: Go would not read it.
    """
    return _reader()(value)


def decode_all(values: Sequence[bytes]) -> Sequence[Endpoint | InvalidValueError]:
    """Return, for each of *values*, what `decode` returns or raises."""
    return _reader_of_many()(values)


@functools.cache
def _reader() -> Callable[[bytes], Endpoint]:
    from .wire_reading import read

    return read


@functools.cache
def _reader_of_many() -> Callable[[Sequence[bytes]], Sequence[Endpoint | InvalidValueError]]:
    from .wire_reading import read_all

    return read_all


def dumps_again(metadata: JSON) -> str:
    """Return what `dumps` returns, faster, for *metadata* that was read: it is what JSON has."""
    return _writer()(metadata)


def dumps_rows(names: tuple[str, ...], columns: Sequence[Sequence[JSON]]) -> str | None:
    """
    Return objects of what was read: one with the members *names* for each row of *columns*.

    With commas between them, and much faster than one by one; ``None`` if some of it is none of
    what nearly all endpoints are made of.
    """
    from .gojson import rewriting

    return rewriting.dumps_rows(names, columns)


@functools.cache
def _writer() -> Callable[[JSON], str]:
    from .gojson import rewriting

    return rewriting.dumps_again


def loads(text: str | bytes) -> JSON:
    """
    Return the metadata that a JSON text stands for, by the rules for stored values.

    Unlike in those, what is not UTF-8 is refused: it is a mistake that can still be corrected.

    >>> loads('{"weight": 12345678901234567890123, "weights": [-0]}')
    {'weight': 12345678901234567890123, 'weights': [-0.0]}

    Raises:
        InvalidValueError: It is not JSON that Go can read.
    """
    from .gojson.reading import Cursor

    try:
        cursor = Cursor((text if isinstance(text, bytes) else text.encode()).decode())
    except UnicodeError:
        raise InvalidValueError("not UTF-8") from None
    value = cursor.value()
    cursor.end()
    return value
