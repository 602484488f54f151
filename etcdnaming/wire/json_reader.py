"""
Read JSON as Go's ``encoding/json`` reads it: the same texts are accepted, with the same result.

Nothing here recurses, so the limit of nesting is Go's, not Python's stack.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Generator, Iterator
from typing import TypeAlias

from ..errors import InvalidValueError
from ..model import JSON
from .encoding import MAX_DEPTH

__all__ = ["Cursor", "from_bytes", "number"]

_SPACE = r"[ \t\n\r]*"
_STRING = r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"'
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"

_VALUE = re.compile(rf"{_SPACE}([{{\[]|{_STRING}|{_NUMBER}|true|false|null)")
_NAME = re.compile(rf"{_SPACE}({_STRING}){_SPACE}:")
_AFTER_MEMBER = re.compile(rf"{_SPACE}([,}}])")
_AFTER_ELEMENT = re.compile(rf"{_SPACE}([,\]])")
_NO_MEMBER = re.compile(rf"{_SPACE}}}")
_NO_ELEMENT = re.compile(rf"{_SPACE}\]")
_BLANKS = re.compile(_SPACE)

_LITERALS: dict[str, JSON] = {"true": True, "false": False, "null": None}
_ESCAPE = re.compile(r"\\(?:u(....)|(.))")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_NOT_UTF8 = re.compile("[\udc80-\udcff]")

_Number: TypeAlias = Callable[[str], JSON]
_Builder: TypeAlias = Generator[None, JSON, JSON]


def from_bytes(value: bytes) -> str:
    r"""
    Return *value* as text; each byte that is not UTF-8 becomes a U+FFFD of its own, as in Go.

    (Python's own ``errors="replace"`` merges several into one.)

    >>> from_bytes(b"a\xe2\x82z")
    'a��z'
    """
    return _NOT_UTF8.sub("\ufffd", value.decode("utf-8", "surrogateescape"))


def number(literal: str) -> int | float:
    """
    Return what a JSON number means: an int of any size, or else a float.

    ``-0`` is a float, because only a float is written back as ``-0``.

    >>> number("12345678901234567890123"), number("1.0"), number("-0")
    (12345678901234567890123, 1.0, -0.0)

    Raises:
        InvalidValueError: The number does not fit into Go's float64.
    """
    value = float(literal)
    if math.isinf(value):
        raise InvalidValueError(f"number out of range: {_cut(literal)}")
    if literal.removeprefix("-").isdigit() and literal != "-0":
        return int(literal)
    return value


class Cursor:
    """
    A position in a JSON text. Every method reads on from there, or raises `InvalidValueError`.

    >>> Cursor('{"zone": ["a", 1.5]}').value()
    {'zone': ['a', 1.5]}
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def token(self) -> str:
        """Read the next literal, or the opening bracket of an object or an array."""
        return self._take(_VALUE, "a value")

    def end(self) -> None:
        """Check that only blanks are left."""
        if self._next() < len(self._text):
            raise self._error("the end")

    def members(self) -> Iterator[str]:
        """Yield the member names of an object whose ``{`` was read; the caller reads each value."""
        if self._skip(_NO_MEMBER):
            return
        while True:
            yield _unquote(self._take(_NAME, "a name and ':'"))
            if self._take(_AFTER_MEMBER, "',' or '}'") == "}":
                return

    def value(self, number: _Number = number) -> JSON:
        """Read one value; *number* converts its number literals."""
        unfinished: list[_Builder] = []
        while True:
            value = self._begin(unfinished, number)
            while unfinished:
                try:
                    unfinished[-1].send(value)
                    break  # for the next value in it
                except StopIteration as finished:
                    unfinished.pop()
                    value = finished.value
            else:
                return value

    def _begin(self, unfinished: list[_Builder], number: _Number) -> JSON:
        """Read a literal and return it, or open a container on *unfinished* and return None."""
        token = self.token()
        if token in _LITERALS:
            return _LITERALS[token]
        if token[0] == '"':
            return _unquote(token)
        if token not in "{[":
            return number(token)
        if len(unfinished) == MAX_DEPTH:
            raise InvalidValueError(f"nested more than {MAX_DEPTH} deep")
        unfinished.append(self._object() if token == "{" else self._array())
        return None

    def _object(self) -> _Builder:
        built: dict[str, JSON] = {}
        for name in self.members():
            built[name] = yield
        return built

    def _array(self) -> _Builder:
        built: list[JSON] = []
        if self._skip(_NO_ELEMENT):
            return built
        while True:
            built.append((yield))
            if self._take(_AFTER_ELEMENT, "',' or ']'") == "]":
                return built

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        match = pattern.match(self._text, self._position)
        if match:
            self._position = match.end()
        return match is not None

    def _take(self, pattern: re.Pattern[str], expected: str) -> str:
        match = pattern.match(self._text, self._position)
        if match is None:
            raise self._error(expected)
        self._position = match.end()
        return match[1]

    def _next(self) -> int:
        """Return the position of the next token."""
        blanks = _BLANKS.match(self._text, self._position)
        return blanks.end() if blanks else self._position

    def _error(self, expected: str) -> InvalidValueError:
        position = self._next()
        if position < len(self._text):
            where = f"at character {position}, found {_cut(self._text[position:])!r}"
        elif self._position:
            where = "at the end"
        else:
            return InvalidValueError("empty")
        return InvalidValueError(f"not JSON: {expected} expected {where}")


def _unquote(token: str) -> str:
    text = token[1:-1]
    if "\\" not in text:
        return text
    text = _ESCAPE.sub(lambda escape: _unescape(escape[1], escape[2]), text)
    # A surrogate pair becomes one character, a lone surrogate becomes U+FFFD.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _unescape(code: str | None, letter: str) -> str:
    return chr(int(code, 16)) if code else _ESCAPED.get(letter, letter)


def _cut(text: str) -> str:
    return text if len(text) <= 20 else f"{text[:20]}…"
