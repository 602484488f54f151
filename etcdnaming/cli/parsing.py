"""
Parse words of the command line into values: numbers, durations, lease IDs, keys, flags, files.

A ``ValueError`` says what is wrong with the word; `Parsed` is the type that click takes.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from .. import keys

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # can't be subscripted in older versions of click

__all__ = [
    "FILE",
    "Candidate",
    "Parsed",
    "complete_file",
    "display_name",
    "opposite",
    "parse_bool",
    "parse_duration",
    "parse_key",
    "parse_lease",
    "parse_number",
    "parse_positive",
    "parse_target",
    "parse_target_slash",
    "parse_text",
    "parse_timeout",
    "parse_ttl",
    "read_bytes",
]

Candidate: TypeAlias = tuple[str, str]
"""A completion, and its kind: ``plain``, or ``file`` if the shell completes file names itself."""

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_NUMBER = r"[0-9]+\.?[0-9]*|\.[0-9]+"
_PART = rf"({_NUMBER})(ns|us|µs|μs|ms|s|m|h)"
_DURATION = rf"\+?(?:(?P<bare>{_NUMBER})|(?:{_PART})+)"

MAX_DURATION = 2**63 // 10**9
"""Seconds. Go counts nanoseconds in 64 bits, and a thread can't wait longer."""

MAX_NUMBER = 2**63 - 1
"""etcd's numbers are signed and have 64 bits."""

MAX_TTL = 9_000_000_000
"""Seconds; etcd's limit."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Parsed(ParamType):
    """
    A type whose value is what *parse* returns; its ``ValueError`` becomes a usage error.

    *complete* returns the completions of the beginning of a word.
    """

    def __init__(
        self,
        name: str,
        parse: Callable[[str], Any],
        complete: Callable[[click.Context, str], Sequence[Candidate]] | None = None,
    ) -> None:
        self.name = name
        self._parse, self._complete = parse, complete

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the parsed value."""
        try:
            return self._parse(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the completions of *incomplete*."""
        from click.shell_completion import CompletionItem  # only for TAB

        candidates = self._complete(ctx, incomplete) if self._complete else ()
        return [CompletionItem(value, type=kind) for value, kind in candidates]


def opposite(flag: str) -> str:
    """Return the name of the option that switches *flag* off."""
    return f"--no-{flag.removeprefix('--')}"


def parse_bool(text: str) -> bool:
    """Parse a boolean as Go's ``strconv.ParseBool`` does."""
    if text not in _TRUE | _FALSE:
        raise ValueError(f"{text!r} is neither true nor false")
    return text in _TRUE


def parse_duration(text: str) -> float:
    """
    Parse a duration in Go's syntax, or a bare number of seconds; return seconds.

    >>> parse_duration("1m30s"), parse_duration("500ms"), parse_duration("30")
    (90.0, 0.5, 30.0)
    """
    # The expression is compiled on first use, because --help would pay for it too.
    found = re.fullmatch(_DURATION, text)
    if not found:
        raise ValueError(f"{text!r} is not a duration such as 500ms, 5s or 1m30s")
    parts = [(found["bare"], "s")] if found["bare"] else re.findall(_PART, text)
    seconds = float(sum(float(number) * _SECONDS[unit] for number, unit in parts))
    if seconds > MAX_DURATION:
        raise ValueError(f"{text!r} is longer than the maximum duration of 292 years")
    return seconds


def parse_timeout(text: str) -> float:
    """Parse a duration that must not be 0; return seconds."""
    seconds = parse_duration(text)
    if not seconds:
        raise ValueError("a timeout must be more than 0")
    return seconds


def parse_ttl(text: str) -> int:
    """
    Parse the TTL of a lease; return whole seconds.

    >>> parse_ttl("30"), parse_ttl("1m30s")
    (30, 90)
    """
    seconds = parse_duration(text)
    if not (seconds.is_integer() and 1 <= seconds <= MAX_TTL):
        raise ValueError(f"a TTL is a whole number of seconds from 1 to {MAX_TTL}")
    return int(seconds)


def parse_lease(text: str) -> int:
    """
    Parse a lease ID in hex, as etcdctl prints it; 0 means no lease.

    >>> parse_lease("7ffaa20539177e6e")
    9221861330310889070
    """
    if not re.fullmatch("[0-9a-fA-F]{1,16}", text) or int(text, 16) >= 1 << 63:
        raise ValueError(f"{text!r} is not a lease ID (hex), such as 7ffaa20539177e6e")
    return int(text, 16)


def parse_number(text: str) -> int:
    """Parse a whole number of 0 or more, such as a revision or a limit."""
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text!r} is not a whole number of 0 or more")
    if len(text.lstrip("0")) > len(str(MAX_NUMBER)) or int(text) > MAX_NUMBER:
        raise ValueError(f"the maximum is {MAX_NUMBER}")
    return int(text)


def parse_positive(text: str) -> int:
    """Parse a whole number of 1 or more."""
    number = parse_number(text)
    if not number:
        raise ValueError("must be at least 1")
    return number


def parse_text(text: str) -> str:
    """Return an argument that must be UTF-8."""
    try:
        return os.fsencode(text).decode()
    except UnicodeDecodeError as exc:
        raise ValueError("not UTF-8") from exc


def parse_key(text: str) -> str:
    """Return the key with the bytes of an argument, UTF-8 or not."""
    return keys.decode(os.fsencode(text))


def parse_target(text: str) -> str:
    """Parse a target, also as ``etcd:///TARGET``."""
    return keys.parse_target(parse_key(text))


def parse_target_slash(text: str) -> str:
    """Parse a target that must be written with a "/" at its end."""
    target = parse_target(text)
    if not text.endswith("/"):
        example = "foo/bar/svc/" if text.startswith("-") else f"{text}/"
        raise ValueError(f'{text!r} is not a target that ends in "/", e.g. {example}')
    return target


def _parse_file(text: str) -> str:
    if not text:
        raise ValueError("an empty file name")
    return text


def complete_file(_: click.Context, beginning: str) -> Sequence[Candidate]:
    """Let the shell complete a file name."""
    return [(beginning, "file")]


FILE = Parsed("file", _parse_file, complete_file)


def display_name(path: str) -> str:
    """Return *path* as messages show it."""
    return "stdin" if path == "-" else path


def read_bytes(path: str) -> bytes:
    """
    Return all of the file at *path*, without a byte order mark.

    Raises:
        click.UsageError: The file can't be read.
    """
    if path == "-" and sys.stdin is None:
        raise click.UsageError("stdin is closed")
    try:
        with click.open_file(path, "rb") as file:
            data: bytes = file.read()
            return data.removeprefix(_BYTE_ORDER_MARK)
    except OSError as exc:
        raise click.UsageError(f"{display_name(path)}: {exc.strerror}") from exc
