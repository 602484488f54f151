"""The blocks of lines that ``-w fields`` is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from ...keys import decode
from ...model import (
    Endpoint,
    Header,
    InvalidValue,
    Keys,
    Listing,
    StoredEndpoint,
    StoredKey,
    Update,
)
from ...wire import dumps
from .spelling import quote_go, safe_json

__all__ = ["each", "endpoint", "header", "line", "text", "total", "updates"]

_Stored: TypeAlias = StoredEndpoint | StoredKey | InvalidValue


def line(name: str, value: int | str) -> str:
    """A name and a value as it is: a number, or JSON."""
    return f"{quote_go(name)} : {value}\n"


def text(name: str, value: str) -> str:
    """A name and a text, quoted."""
    return line(name, quote_go(value))


def header(answer: Header) -> Iterator[str]:
    """Who answered, at which revision."""
    yield line("ClusterID", answer.cluster_id)
    yield line("MemberID", answer.member_id)
    yield line("Revision", answer.revision)
    yield line("RaftTerm", answer.raft_term)


def total(found: Listing | Keys) -> Iterator[str]:
    """Whether there is more than was shown, and how much there is."""
    yield line("More", "true" if found.more else "false")
    yield line("Count", found.count)


def each(found: Iterable[_Stored], prev: str = "") -> Iterator[str]:
    """Every one of *found*, *prev* before the names of what is there no longer."""
    for stored in found:
        yield text(f"{prev}Key", stored.key)
        yield from _values(stored, prev)
        yield line(f"{prev}Lease", stored.lease)


def updates(changes: Iterable[Update]) -> Iterator[str]:
    """What is done to each key; a lease that is kept has no line."""
    for change in changes:
        yield text("Op", change.op.name.lower())
        yield text("Key", change.key)
        if change.endpoint is not None:
            yield from endpoint(change.endpoint)
        if change.lease is not None:
            yield line("Lease", change.lease)


def _values(found: _Stored, prev: str) -> Iterator[str]:
    if not isinstance(found, InvalidValue):
        yield line(f"{prev}CreateRevision", found.create_revision)
        yield line(f"{prev}ModRevision", found.mod_revision)
        yield line(f"{prev}Version", found.version)
    if isinstance(found, StoredEndpoint):
        yield from endpoint(found.endpoint, prev)
    if isinstance(found, InvalidValue):
        yield line(f"{prev}ModRevision", found.mod_revision)
        yield text(f"{prev}Value", decode(found.value))
        yield text(f"{prev}Invalid", found.reason)


def endpoint(found: Endpoint, prev: str = "") -> Iterator[str]:
    """What clients dial, and what else is said of it."""
    yield text(f"{prev}Addr", found.addr)
    yield line(f"{prev}Metadata", safe_json(dumps(found.metadata)))
