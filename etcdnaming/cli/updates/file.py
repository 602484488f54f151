"""
Read files of updates, which ``txn-update`` and ``apply`` make and ``export`` prints.

    # comment
    add foo/bar/svc/e1 1.2.3.4:80 {"zone":"a"}
    del foo/bar/svc/e2

Or the same as JSON, or what a command printed as JSON: see `json_objects`. Keys may have any bytes;
everything else is UTF-8.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

from ... import keys, wire
from ...errors import EtcdnamingError
from ...model import Endpoint, Update
from .. import stderr
from ..failures import InputError
from ..parsing import display_name, read_bytes
from .json_objects import Contents, Objects, read_object

__all__ = ["parse", "read_line", "read_updates"]

_WORD = re.compile(r'("(?:[^"\\]|\\.)*")(?=[ \t]|$)|([^ \t"][^ \t]*)')


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
    Return the updates in *data*, each of them checked; warn of what it says can't be read in etcd.

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
