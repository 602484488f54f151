"""
Decode stored values as Go's ``json.Unmarshal`` decodes them into its ``internal.Update``.

Ordinary values are decoded by msgspec, which is fast and stricter than Go. A value that msgspec
refuses, or might decode differently from Go, is decoded by Go's rules, written out below.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from ..errors import InvalidValueError
from ..model import JSON, Endpoint, build_many
from .encoding import MAX_DEPTH
from .json_reader import Cursor, from_bytes, number

__all__ = ["decode_by_go_rules", "decode_value", "decode_values"]

_MINUS = ord("-")
_MINUS_ZERO = re.compile(rb"-0(?<=[:,\[ \t\n\r]-0)")  # starts with a literal: a fast search
_LONGEST_INTEGER = 308  # digits; one more may be out of Go's range
_THREE_DIGITS = re.compile(rb"[0-9]{3}")


class _Stored(
    msgspec.Struct,
    rename={"op": "Op", "addr": "Addr", "metadata": "Metadata"},
    forbid_unknown_fields=True,  # an unknown name may be a known one in another letter case
    gc=False,
):
    op: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
    addr: str = ""
    metadata: Any = None


_MEMBERS = attrgetter("addr", "metadata")

_NOT_ORDINARY = (msgspec.MsgspecError, ValueError, RecursionError)

# json_reader.number is the one place that decides what a float means.
_decode = msgspec.json.Decoder(_Stored, float_hook=number).decode


def decode_value(value: bytes) -> Endpoint:
    """
    Return the endpoint that is stored as *value*.

    Raises:
        InvalidValueError: *value* is not an endpoint.
    """
    try:
        if not (_is_extreme(value) or _holds_minus_zero(value)):
            stored = _decode(value)
            return Endpoint(stored.addr, stored.metadata)
    except _NOT_ORDINARY:
        pass
    return decode_by_go_rules(value)


def decode_values(values: Sequence[bytes]) -> Sequence[Endpoint | InvalidValueError]:
    """Return what `decode_value` returns or raises for each of *values*; faster than one by one."""
    try:
        if not (_hold_extremes(values) or _holds_minus_zero(b"\n".join(values))):
            return list(build_many(Endpoint, map(_MEMBERS, map(_decode, values))))
    except _NOT_ORDINARY:
        pass  # msgspec does not report which value is not ordinary
    return [_decode_or_error(value) for value in values]


def _decode_or_error(value: bytes) -> Endpoint | InvalidValueError:
    try:
        return decode_value(value)
    except InvalidValueError as exc:
        return exc


def _holds_minus_zero(text: bytes) -> bool:
    """Return whether *text* holds a ``-0``, which msgspec would decode as the integer 0."""
    return _MINUS in text and _MINUS_ZERO.search(text) is not None


def _hold_extremes(values: Sequence[bytes]) -> bool:
    return max(map(len, values), default=0) > _LONGEST_INTEGER and any(map(_is_extreme, values))


def _is_extreme(value: bytes) -> bool:
    """
    Return whether *value* might hold an integer out of Go's range, or be nested too deep for Go.

    An integer of 309 digits or more covers at least three consecutive samples when every hundredth
    byte is sampled, and searching the samples is fast.
    """
    if len(value) <= _LONGEST_INTEGER:
        return False
    if _THREE_DIGITS.search(value[::100]):
        return True
    return len(value) > MAX_DEPTH and value.count(b"[") + value.count(b"{") > MAX_DEPTH


def decode_by_go_rules(value: bytes) -> Endpoint:
    """
    Return the endpoint stored as *value*, decoded without msgspec.

    Raises:
        InvalidValueError: *value* is not an endpoint.
    """
    cursor = Cursor(from_bytes(value))
    endpoint = _decode_endpoint(cursor)
    cursor.end()
    return endpoint


def _decode_endpoint(cursor: Cursor) -> Endpoint:
    opening = cursor.token()
    if opening == "{":
        return _decode_members(cursor)
    if opening == "null":
        return Endpoint("")
    raise InvalidValueError("not an object")


def _decode_members(cursor: Cursor) -> Endpoint:
    addr: str = ""
    metadata: JSON = None
    for name in cursor.members():
        match name.lower():  # equals Go's case folding here: only k and s have other folds
            case "op":
                _check_operation(cursor.value(number=_short_integer))
            case "addr":
                addr = _check_addr(cursor.value(), default=addr)
            case "metadata":
                metadata = cursor.value()
            case _:
                cursor.value(number=str)  # an ignored member may hold a number out of range
    return Endpoint(addr, metadata)


def _check_operation(value: JSON) -> None:
    if value is not None and not (type(value) is int and value <= 255):
        raise InvalidValueError("Op is not an integer from 0 to 255")


def _short_integer(literal: str) -> JSON:
    return int(literal) if literal.isdigit() and len(literal) <= 3 else literal


def _check_addr(value: JSON, default: str) -> str:
    if value is None:
        return default
    if not isinstance(value, str):
        raise InvalidValueError("Addr is not a string")
    return value
