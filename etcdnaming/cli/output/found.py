"""What ``wait`` prints: the endpoints there are when its conditions are met."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from json.encoder import encode_basestring
from typing import NamedTuple

from ...model import Change, ChangeBatch, Operation, StoredEndpoint
from . import blocks, objects
from .simple import line
from .spelling import safe_json
from .stdout import write

__all__ = ["Found", "show"]


class Found(NamedTuple):
    """The endpoints of *target*, in key order, at one revision."""

    target: str
    revision: int
    endpoints: Sequence[StoredEndpoint]


def show(name: str, found: Found) -> None:
    """Print *found* in the format *name*, one of `FORMATS`: much as ``list`` does."""
    lines = {"fields": _fields, "json": _json, "simple": _simple, "table": _table}
    write(lines[name](found))


def _simple(found: Found) -> Iterator[str]:
    return (line(stored.key, stored.endpoint) for stored in found.endpoints)


def _json(found: Found) -> Iterator[str]:
    """``target revision count endpoints``."""
    endpoints = ",".join(map(objects.stored_endpoint, found.endpoints))
    yield safe_json(
        f'{{"target":{encode_basestring(found.target)},"revision":{found.revision},'
        f'"count":{len(found.endpoints)},"endpoints":[{endpoints}]}}'
    )
    yield "\n"


def _fields(found: Found) -> Iterator[str]:
    yield blocks.line("Revision", found.revision)
    yield from blocks.each(found.endpoints)
    yield blocks.line("Count", len(found.endpoints))


def _table(found: Found) -> Iterable[str]:
    from .watch_table import TableWatch  # a door to rich

    there = [
        Change(Operation.ADD, each.key, each.mod_revision, each.endpoint, each.lease, None)
        for each in found.endpoints
    ]
    return TableWatch(found.target).lines(ChangeBatch(found.revision, there, (), first=True), {})
