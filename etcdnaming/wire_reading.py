"""
Stored values, read as Go's ``json.Unmarshal`` reads them into its ``internal.Update``.

The ordinary ones are left to msgspec, which is fast and takes less than Go does. Wherever it might
see a value otherwise than Go, the value is read by Go's rules here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from .errors import InvalidValueError
from .gojson import MAX_DEPTH
from .gojson.reading import Cursor, from_bytes, number
from .model import JSON, Endpoint, made

__all__ = ["read", "read_all", "read_by_the_rules"]

_MINUS = ord("-")
_MINUS_ZERO = re.compile(rb"-0(?<=[:,\[ \t\n\r]-0)")  # begins with what can be searched for fast
_LONGEST_INTEGER = 308  # digits; one more may be out of Go's range
_THREE_DIGITS = re.compile(rb"[0-9]{3}")


class _Stored(
    msgspec.Struct,
    rename={"op": "Op", "addr": "Addr", "metadata": "Metadata"},
    forbid_unknown_fields=True,  # they might be known in another letter case
    gc=False,
):
    op: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
    addr: str = ""
    metadata: Any = None


_MEMBERS = attrgetter("addr", "metadata")

_NOT_ORDINARY = (msgspec.MsgspecError, ValueError, RecursionError)

# What a float means is said in one place only.
_decode = msgspec.json.Decoder(_Stored, float_hook=number).decode


def read(value: bytes) -> Endpoint:
    """
    Return the endpoint that is stored as *value*.

    Raises:
        InvalidValueError: There is none.
    """
    try:
        if not (_is_extreme(value) or _holds_minus_zero(value)):
            stored = _decode(value)
            return Endpoint(stored.addr, stored.metadata)
    except _NOT_ORDINARY:
        pass
    return read_by_the_rules(value)


def read_all(values: Sequence[bytes]) -> Sequence[Endpoint | InvalidValueError]:
    """Return, for each of *values*, what `read` returns or raises; faster than one by one."""
    try:
        if not (_hold_extremes(values) or _holds_minus_zero(b"\n".join(values))):
            return list(made(Endpoint, map(_MEMBERS, map(_decode, values))))
    except _NOT_ORDINARY:
        pass  # one of them is not, and it isn't said which
    return [_read_or_refuse(value) for value in values]


def _read_or_refuse(value: bytes) -> Endpoint | InvalidValueError:
    try:
        return read(value)
    except InvalidValueError as exc:
        return exc


def _holds_minus_zero(text: bytes) -> bool:
    """Tell whether a ``-0`` stands in *text*, which to msgspec is the integer 0."""
    return _MINUS in text and _MINUS_ZERO.search(text) is not None


def _hold_extremes(values: Sequence[bytes]) -> bool:
    return max(map(len, values), default=0) > _LONGEST_INTEGER and any(map(_is_extreme, values))


def _is_extreme(value: bytes) -> bool:
    """
    Tell whether *value* might hold an integer out of Go's range, or be nested too deep for Go.

    Such an integer shows as at least three neighbours among every hundredth byte, and looking
    at those is fast.
    """
    if len(value) <= _LONGEST_INTEGER:
        return False
    if _THREE_DIGITS.search(value[::100]):
        return True
    return len(value) > MAX_DEPTH and value.count(b"[") + value.count(b"{") > MAX_DEPTH


def read_by_the_rules(value: bytes) -> Endpoint:
    """
    Return the endpoint stored as *value*, without the help of msgspec.

    Raises:
        InvalidValueError: There is none.
    """
    cursor = Cursor(from_bytes(value))
    endpoint = _read_endpoint(cursor)
    cursor.end()
    return endpoint


def _read_endpoint(cursor: Cursor) -> Endpoint:
    opening = cursor.token()
    if opening == "{":
        return _read_members(cursor)
    if opening == "null":
        return Endpoint("")
    raise InvalidValueError("not an object")


def _read_members(cursor: Cursor) -> Endpoint:
    addr: str = ""
    metadata: JSON = None
    for name in cursor.members():
        match name.lower():  # as good as Go's folding: no name has a k or s, which others fold to
            case "op":
                _check_operation(cursor.value(number=_short_integer))
            case "addr":
                addr = _check_addr(cursor.value(), default=addr)
            case "metadata":
                metadata = cursor.value()
            case _:
                cursor.value(number=str)  # nobody asks for it, so it may be out of range
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
