"""The types of options and arguments that more than one command takes, and such options."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ... import keys, wire
from ...errors import InvalidValueError
from ...model import JSON
from .. import stderr
from ..completion.candidates import complete_keys, complete_prefixes, complete_targets
from ..failures import InputError
from ..files import name_of, read_bytes
from .arguments import opposite
from .lease import parse_lease, parse_ttl
from .parsed import FILE, Parsed

__all__ = [
    "FORCE",
    "KEY",
    "LEASE",
    "METADATA_OPTIONS",
    "POSITIVE",
    "REVISION",
    "TARGET",
    "TARGET_SLASH",
    "TEXT",
    "TTL",
    "flag",
    "metadata_options",
    "parse_key",
    "parse_number",
    "parse_text",
    "target_option",
]

MOST = 2**63 - 1
"""etcd's numbers have 64 bits, and a sign."""

Function = TypeVar("Function", bound=Callable[..., Any])
Status = TypeVar("Status")


def parse_key(text: str) -> str:
    """Return the key that the bytes of an argument are, UTF-8 or not."""
    return keys.decode(os.fsencode(text))


def parse_text(text: str) -> str:
    """Return an argument that has to be UTF-8."""
    try:
        return os.fsencode(text).decode()
    except UnicodeDecodeError as exc:
        raise ValueError("not UTF-8") from exc


def parse_number(text: str) -> int:
    """Return a whole number of 0 or more, as revisions and limits are."""
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text!r} is not a whole number of 0 or more")
    if len(text.lstrip("0")) > len(str(MOST)) or int(text) > MOST:
        raise ValueError(f"etcd counts no further than {MOST}")
    return int(text)


def parse_positive(text: str) -> int:
    """Return a whole number of 1 or more."""
    number = parse_number(text)
    if not number:
        raise ValueError("must be at least 1")
    return number


def _target(text: str) -> str:
    return keys.parse_target(parse_key(text))


def _target_slash(text: str) -> str:
    target = _target(text)
    if not text.endswith("/"):
        example = "foo/bar/svc/" if text.startswith("-") else f"{text}/"
        raise ValueError(f'{text!r} is not a target that ends in "/", e.g. {example}')
    return target


KEY = Parsed("key", parse_key, complete_keys)
TARGET = Parsed("target", _target, complete_targets)
TARGET_SLASH = Parsed("target", _target_slash, complete_prefixes)
TEXT = Parsed("text", parse_text)
LEASE = Parsed("lease", parse_lease)
TTL = Parsed("ttl", parse_ttl)
METADATA = Parsed("json", wire.loads)
POSITIVE = Parsed("number", parse_positive)
REVISION = Parsed("revision", parse_number)


def flag(name: str, says: str) -> Callable[[Function], Function]:
    """Add an option that is on or off, with its opposite for the sake of ``=false``."""
    key = name.removeprefix("--").replace("-", "_")
    on = click.option(name, key, is_flag=True, flag_value=True, help=says)
    off = click.option(opposite(name), key, is_flag=True, flag_value=False, hidden=True)
    return lambda function: on(off(function))


FORCE = flag("--force", "Accept an address that clients can't dial.")


def metadata_options(command: Callable[..., Status]) -> Callable[..., Status]:
    """Add the three ways to give metadata, of which one makes the argument *metadata*."""

    @functools.wraps(command)
    def with_metadata(
        *args: Any,
        metadata: str | None,
        metadata_json: JSON,
        metadata_file: str | None,
        **rest: Any,
    ) -> Status:
        value = metadata_json if metadata is None else metadata
        if metadata is not None:
            _warn_of_json(metadata)
        if metadata_file is not None:
            value = _read_metadata(metadata_file)
        return command(*args, metadata=value, **rest)

    for option in (
        click.option(
            "--metadata-file", type=FILE, metavar="FILE", help="The same, from a file; - is stdin."
        ),
        click.option("--metadata-json", type=METADATA, metavar="JSON", help="Any JSON value."),
        click.option("--metadata", type=TEXT, metavar="TEXT", help="Stored as a JSON string."),
    ):
        with_metadata = option(with_metadata)
    return with_metadata


METADATA_OPTIONS = ("metadata", "metadata_json", "metadata_file")
"""Of which only one may be used."""


def _warn_of_json(text: str) -> None:
    kind = {"{": "object", "[": "array"}.get(text.lstrip()[:1])
    if kind is None:
        return
    try:
        wire.loads(text)
    except InvalidValueError:
        return
    stderr.warn(f"--metadata stores this JSON {kind} as text, --metadata-json as the {kind} it is")


def _read_metadata(file: str) -> JSON:
    try:
        return wire.loads(read_bytes(file))
    except InvalidValueError as exc:
        raise InputError(f"{name_of(file)}: {exc}") from exc


def target_option(function: Function) -> Function:
    """Add what says where a key must be."""
    return click.option(
        "--target",
        type=TARGET,
        metavar="TARGET",
        help="Where the keys must be; by default what stands before the last / of each.",
    )(function)
