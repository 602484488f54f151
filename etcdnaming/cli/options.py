"""Types of arguments that several commands take, and options that several commands have."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from .. import wire
from ..errors import InvalidValueError
from ..model import JSON
from . import stderr
from .candidates import complete_keys, complete_prefixes, complete_targets
from .failures import InputError
from .parsing import (
    FILE,
    Parsed,
    display_name,
    opposite,
    parse_duration,
    parse_key,
    parse_lease,
    parse_number,
    parse_positive,
    parse_target,
    parse_target_slash,
    parse_text,
    parse_timeout,
    parse_ttl,
    read_bytes,
)

__all__ = [
    "CONSISTENCY",
    "DRY_RUN_CHANGE",
    "DURATION",
    "FORCE",
    "KEY",
    "LEASE",
    "METADATA_OPTIONS",
    "REVISION",
    "TARGET",
    "TARGET_SLASH",
    "TEXT",
    "TIMEOUT",
    "TTL",
    "batch_options",
    "flag",
    "metadata_options",
    "target_option",
]

Function = TypeVar("Function", bound=Callable[..., Any])
Status = TypeVar("Status")

KEY = Parsed("key", parse_key, complete_keys)
TARGET = Parsed("target", parse_target, complete_targets)
TARGET_SLASH = Parsed("target", parse_target_slash, complete_prefixes)
TEXT = Parsed("text", parse_text)
DURATION = Parsed("duration", parse_duration)
TIMEOUT = Parsed("timeout", parse_timeout)
LEASE = Parsed("lease", parse_lease)
TTL = Parsed("ttl", parse_ttl)
METADATA = Parsed("json", wire.loads)
POSITIVE = Parsed("number", parse_positive)
REVISION = Parsed("revision", parse_number)


def flag(name: str, help_text: str, key: str = "") -> Callable[[Function], Function]:
    """
    Add an option that is on or off, with the hidden opposite that ``=false`` becomes.

    *key* is the name of the argument (default: that of the option).
    """
    key = key or name.removeprefix("--").replace("-", "_")
    on = click.option(name, key, is_flag=True, flag_value=True, help=help_text)
    off = click.option(opposite(name), key, is_flag=True, flag_value=False, hidden=True)
    return lambda function: on(off(function))


CONSISTENCY = click.option(
    "--consistency",
    type=click.Choice(["l", "s"]),
    default="l",
    help="Linearizable (l, the default) or serializable (s) read.",
)
FORCE = flag("--force", "Accept an address that clients can't dial.")

DRY_RUN_CHANGE = flag("--dry-run", "Print what would be stored, without storing it.")


def target_option(function: Function) -> Function:
    """Add ``--target``, the service that all keys of a command must belong to."""
    return click.option(
        "--target",
        type=TARGET,
        metavar="TARGET",
        help='Service that all keys must belong to. Default: KEY up to its last "/".',
    )(function)


def batch_options(command: Callable[..., Status]) -> Callable[..., Status]:
    """Add ``--batch-size`` and ``--max-txn-ops``, which must not be less."""

    @functools.wraps(command)
    def checked(*args: Any, batch_size: int | None, max_txn_ops: int, **rest: Any) -> Status:
        if batch_size and batch_size > max_txn_ops:
            raise click.UsageError("--batch-size is more than --max-txn-ops")
        return command(*args, batch_size=batch_size, max_txn_ops=max_txn_ops, **rest)

    for option in (
        click.option(
            "--max-txn-ops",
            type=POSITIVE,
            default="128",
            metavar="N",
            help="The server's --max-txn-ops (default 128).",
        ),
        click.option(
            "--batch-size",
            type=POSITIVE,
            metavar="N",
            help="Split into transactions of N keys (not atomic as a whole).",
        ),
    ):
        checked = option(checked)
    return checked


METADATA_OPTIONS = ("metadata", "metadata_json", "metadata_file")
"""Only one of them may be used."""


def metadata_options(command: Callable[..., Status]) -> Callable[..., Status]:
    """Add the three options for metadata; the one in use becomes the argument *metadata*."""

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
            "--metadata-file",
            type=FILE,
            metavar="FILE",
            help="Metadata: the JSON value in FILE; - reads stdin.",
        ),
        click.option(
            "--metadata-json", type=METADATA, metavar="JSON", help="Metadata: any JSON value."
        ),
        click.option(
            "--metadata", type=TEXT, metavar="TEXT", help="Metadata: TEXT, stored as a JSON string."
        ),
    ):
        with_metadata = option(with_metadata)
    return with_metadata


def _warn_of_json(text: str) -> None:
    kind = {"{": "object", "[": "array"}.get(text.lstrip()[:1])
    if kind is None:
        return
    try:
        wire.loads(text)
    except InvalidValueError:
        return
    stderr.warn(f"--metadata stores this JSON {kind} as text; --metadata-json stores the {kind}")


def _read_metadata(file: str) -> JSON:
    try:
        return wire.loads(read_bytes(file))
    except InvalidValueError as exc:
        raise InputError(f"{display_name(file)}: {exc}") from exc
