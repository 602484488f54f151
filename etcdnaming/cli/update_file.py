"""
Read files of updates, which ``txn-update`` and ``apply`` make and ``export`` prints.

    # comment
    add foo/bar/svc/e1 1.2.3.4:80 {"zone":"a"}
    del foo/bar/svc/e2

Or the same as JSON: our objects, and those that Go makes of its ``endpoints.Update``, or what the
commands print with ``-w json``. An endpoint that was read from etcd is an add that keeps the lease
of its key: the lease it was on may be of another cluster, or another owner. Keys may have any
bytes; everything else is UTF-8.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from .. import keys, wire
from ..errors import EtcdnamingError, InvalidValueError
from ..model import JSON, Endpoint, Operation, Update
from . import stderr
from .failures import InputError
from .parsing import display_name, parse_lease, read_bytes
from .updates import ExactUpdate

__all__ = ["parse", "read_updates"]

_WORD = re.compile(r'("(?:[^"\\]|\\.)*")(?=[ \t]|$)|([^ \t"][^ \t]*)')


_BLANKS = re.compile(r"[ \t\r\n]*")
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|([{\[])|([}\]])', re.DOTALL)

_OPERATIONS = {
    "add": Operation.ADD,
    "del": Operation.DELETE,
    "delete": Operation.DELETE,
    "0": Operation.ADD,
    "1": Operation.DELETE,
}

# "prev" is in the output of txn-update, and is ignored here.
_MEMBERS = frozenset({"op", "key", "key_base64", "addr", "metadata", "endpoint", "lease", "prev"})


def read_updates(path: str, check: Callable[[Update], None]) -> tuple[Update, ...]:
    """
    Return the updates in the file at *path*, as `parse` does.

    Raises:
        InputError: One is invalid.
        click.UsageError: The file can't be read.
    """
    return parse(read_bytes(path), display_name(path), check)


def parse(data: bytes, name: str, check: Callable[[Update], None]) -> tuple[Update, ...]:
    """
    Return the updates in *data*, each of them checked; warn of values that it lists as unreadable.

    Raises:
        InputError: One is invalid; the error has its line in the file *name*.
    """
    text = keys.decode(data)
    is_json = text.lstrip().startswith(("[", "{"))
    pieces, read = (Objects(text), read_object) if is_json else (_Lines(text), _read_contents)
    updates: list[Update] = []
    try:
        for piece in pieces:
            found = read(piece)
            _check(found.updates, check)
            updates += found.updates
            for reason in found.unreadable:
                stderr.warn(f"{name}:{pieces.line}: left out: {reason}")
    except (EtcdnamingError, ValueError) as exc:
        raise InputError(f"{name}:{pieces.line}: {exc}") from exc
    return tuple(updates)


def _check(updates: Sequence[Update], check: Callable[[Update], None]) -> None:
    for update in updates:
        try:
            check(update)
        except (EtcdnamingError, ValueError) as exc:
            if len(updates) == 1:
                raise
            raise ValueError(f"{update.key}: {exc}") from exc  # the line has more of them


class _Lines:
    """The lines of *text* that are neither blank nor comments."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.line = 1
        """The number of the last line read."""

    def __iter__(self) -> Iterator[str]:
        # Not splitlines(): it also splits at characters that JSON allows inside strings.
        for number, line in enumerate(self._text.split("\n"), start=1):
            self.line = number
            content = line.strip(" \t\r")
            if content and not content.startswith("#"):
                yield content


def _read_contents(line: str) -> Contents:
    return Contents([read_line(line)])


def read_line(line: str) -> Update:
    """
    Return the update on a line.

    >>> read_line("del svc/e1")
    Update(op=<Operation.DELETE: 1>, key='svc/e1', endpoint=None, lease=None)
    """
    operation, rest = _word(line, "add or del")
    if operation not in ("add", "del"):
        raise ValueError(f"add or del expected, found {operation!r}")
    key, rest = _word(rest, "KEY")
    if operation == "del":
        if rest:
            raise ValueError(f"nothing more expected after del KEY, found {rest!r}")
        return Update.delete(key)
    addr, rest = _word(rest, "ADDR")
    return Update.add(key, Endpoint(addr, wire.loads(rest) if rest else None))


def _word(text: str, expected: str) -> tuple[str, str]:
    """Return the first word of *text*, and the rest."""
    word = _WORD.match(text)
    if word is None:
        raise ValueError(
            f"{expected} expected, found {text[:20]!r}" if text else f"{expected} missing"
        )
    rest = text[word.end() :].lstrip(" \t")
    return (_unquote(word[1]) if word[1] else word[2]), rest


def _unquote(quoted: str) -> str:
    # Python's JSON, not Go's: a lone surrogate stands for a byte of a key that is not UTF-8.
    try:
        word: str = json.loads(quoted)
        keys.encode(word)
    except ValueError as exc:
        raise ValueError(f"{quoted[:20]} is not a JSON string") from exc
    return word


class Objects:
    """
    The texts of the objects in *text*, which stand one after another or in an array.

    >>> list(Objects('[{"op": 1}, {}]'))
    ['{"op": 1}', '{}']
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = self._counted = 0
        self.line = 1
        """The line on which the last object begins, or where an error is."""

    def __iter__(self) -> Iterator[str]:
        if self._next() != "[":
            while self._next():
                yield self._object()
            return
        yield from self._array()
        if self._next():
            raise self._error("the end")

    def _array(self) -> Iterator[str]:
        self._at += 1
        separator = self._next()
        if separator == "]":
            self._at += 1
        while separator != "]":
            yield self._object()
            separator = self._next()
            if separator not in (",", "]"):
                raise self._error("',' or ']'")
            self._at += 1

    def _object(self) -> str:
        if self._next() != "{":
            raise self._error("an object")
        start, self._at = self._at, self._end_of_object()
        return self._text[start : self._at]

    def _end_of_object(self) -> int:
        depth = 0
        for bracket in _BRACKET.finditer(self._text, self._at):
            depth += bool(bracket[1]) - bool(bracket[2])
            if not depth:
                return bracket.end()
        return len(self._text)

    def _next(self) -> str:
        """Skip blanks, and return the next character; "" at the end."""
        blanks = _BLANKS.match(self._text, self._at)
        self._at = blanks.end() if blanks else self._at
        self.line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._text[self._at : self._at + 1]

    def _error(self, expected: str) -> ValueError:
        found = self._text[self._at : self._at + 20].partition("\n")[0]
        return ValueError(
            f"{expected} expected, found {found!r}" if found else f"{expected} missing"
        )


class Contents(NamedTuple):
    """What an object holds: *updates*, and keys with *unreadable* values, with the reason."""

    updates: Sequence[Update]
    unreadable: Sequence[str] = ()


def read_object(text: str) -> Contents:
    """
    Return the contents of the JSON object *text*. As in Go, the case of names does not count.

    >>> read_object('{"Op": 1, "Key": "svc/e1"}').updates
    [Update(op=<Operation.DELETE: 1>, key='svc/e1', endpoint=None, lease=None)]
    """
    members = _members(wire.loads(text), "an update")
    if "op" in members:
        return Contents([_update(members)])
    if "type" in members:
        return _event(members)
    if "mod_revision" in members:
        return Contents([_stored(members)])
    if "updates" in members:
        return _result(members, "updates", _update)
    if "endpoints" in members:
        return _result(members, "endpoints", _stored)
    raise ValueError('"op" is missing')


def _update(members: Mapping[str, JSON]) -> Update:
    if unknown := members.keys() - _MEMBERS:
        raise ValueError(f"unknown member {min(unknown)!r}")
    operation = _operation(members)
    key = _key(members)
    endpoint = _endpoint(members)
    if operation is Operation.ADD:
        return Update.add(key, endpoint, lease=_lease(members))
    if endpoint != Endpoint(""):
        raise ValueError("a delete takes a key, but no endpoint")
    return Update.delete(key)


def _stored(members: Mapping[str, JSON]) -> Update:
    """Return the update that adds an endpoint as `list` prints it; other members are ignored."""
    if "addr" not in members:
        raise ValueError('"addr" is missing')
    return ExactUpdate.add(_key(members), _endpoint(members))


def _event(members: Mapping[str, JSON]) -> Contents:
    """Return the update in an event of `watch`."""
    match members["type"]:
        case "PUT":
            return Contents([_stored(members)])
        case "DELETE":
            return Contents([Update.delete(_key(members))])
        case "INVALID":
            return Contents([], [_unreadable(members)])
        case "SYNCED":
            return Contents([])
    raise ValueError(f'"type" must be PUT or DELETE, not {wire.dumps(members["type"])}')


def _result(
    members: Mapping[str, JSON], name: str, read: Callable[[Mapping[str, JSON]], Update]
) -> Contents:
    """Return the updates in the member *name* of what a command printed."""
    if members.get("more"):
        raise ValueError('"more" is true: the list was cut short')
    if _list(members, "conditions"):
        raise ValueError('"conditions" are not read from a file: use options for them')
    updates = []
    for number, item in enumerate(_list(members, name)):
        try:
            updates.append(ExactUpdate(*read(_members(item, "an item"))))
        except ValueError as exc:
            raise ValueError(f'"{name}"[{number}]: {exc}') from exc
    invalid = [_members(item, '"invalid"') for item in _list(members, "invalid")]
    return Contents(updates, [*map(_unreadable, invalid)])


def _unreadable(members: Mapping[str, JSON]) -> str:
    return f"{_key(members)}: {_text(members, 'reason')}"


def _list(members: Mapping[str, JSON], name: str) -> Sequence[JSON]:
    value = members.get(name, ())
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence):
        raise InvalidValueError(f'"{name}" must be an array')
    return value


def _operation(members: Mapping[str, JSON]) -> Operation:
    if "op" not in members:
        raise ValueError('"op" is missing')
    value = members["op"]
    operation = _OPERATIONS.get(str(value)) if type(value) in (int, str) else None
    if operation is None:
        raise ValueError(f'"op" must be "add" or "del", not {wire.dumps(value)}')
    return operation


def _key(members: Mapping[str, JSON]) -> str:
    if "key_base64" in members:
        return keys.decode(_base64(_text(members, "key_base64")))
    if "key" not in members:
        raise ValueError('"key" is missing')
    return _text(members, "key")


def _base64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError as exc:
        raise ValueError(f'"key_base64" is not base64: {text[:20]!r}') from exc


def _endpoint(members: Mapping[str, JSON]) -> Endpoint:
    if "endpoint" in members:  # as in Go's Update
        members = _members(members["endpoint"], '"endpoint"')
    return Endpoint(_text(members, "addr"), members.get("metadata"))


def _lease(members: Mapping[str, JSON]) -> int | None:
    return parse_lease(_text(members, "lease")) if "lease" in members else None


def _members(value: JSON, name: str) -> Mapping[str, JSON]:
    if not isinstance(value, Mapping):
        raise InvalidValueError(f"{name} must be an object")
    return {name.lower(): each for name, each in value.items() if each is not None}


def _text(members: Mapping[str, JSON], name: str) -> str:
    value = members.get(name, "")
    if not isinstance(value, str):
        raise InvalidValueError(f'"{name}" must be a string')
    return value
