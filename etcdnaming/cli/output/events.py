"""
What a watch tells, change by change: in words, and as the JSON objects that programs read.

The objects are the lines of ``-w json`` and the ``events`` of a handler. They only ever grow, and
still have to go through `safe_json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...model import Change, ChangeBatch, Endpoint, StoredEndpoint, Update
from ...wire import encode
from . import objects

__all__ = ["is_news", "kind", "objects_of", "states", "subject", "word"]


def kind(change: Change) -> str:
    """``PUT`` or ``DELETE``, as etcdctl says it."""
    return "DELETE" if change.endpoint is None else "PUT"


def word(change: Change) -> str:
    """What became of the endpoint, for people."""
    if change.endpoint is None:
        return "removed"
    if change.previous is None:
        return "added"
    return "changed" if is_news(change) else "renewed"


def is_news(change: Change) -> bool:
    """Tell whether clients have to know: an endpoint that was put again as it was is no news."""
    if change.endpoint is None or change.previous is None:
        return True
    # Of values that Python takes for equal, such as 1 and true, the bytes differ.
    before, now = change.previous.endpoint, change.endpoint
    return before != now or encode(before) != encode(now)


def subject(change: Change) -> tuple[Endpoint, int]:
    """Return the endpoint that a change is about, and its lease: of a delete, what went away."""
    if change.endpoint is None and change.previous is not None:
        return change.previous.endpoint, change.previous.lease
    return change.endpoint or Endpoint(""), change.lease


def states(
    changes: Sequence[Change], endpoints: Mapping[str, StoredEndpoint]
) -> Sequence[StoredEndpoint | None]:
    """
    Return what was at the key of each of *changes* right after it; *endpoints*: after the last.

    What was there after one change was there before the next one of the same key.
    """
    after: dict[str, StoredEndpoint | None] = {}
    found: list[StoredEndpoint | None] = []
    for change in reversed(changes):
        stored = after.get(change.key, endpoints.get(change.key))
        found.append(None if change.endpoint is None else stored)
        after[change.key] = change.previous
    return found[::-1]


def objects_of(batch: ChangeBatch) -> Iterator[str]:
    """
    Yield an object for each change of *batch* and for each value that can't be read.

    After the first set follows one that says so.
    """
    for change in batch.changes:
        yield _change(change, resync=batch.resync)
    for found in batch.invalid:
        yield f'{{"type":"INVALID",{objects.invalid(found)[1:]}'
    if batch.first:
        count = len(batch.changes)
        yield f'{{"type":"SYNCED","revision":{batch.revision},"count":{count}}}'


def _change(change: Change, *, resync: bool) -> str:
    """``type revision key key_base64 addr metadata lease prev resync``."""
    endpoint, lease = subject(change)
    members = objects.endpoint(Update.add(change.key, endpoint, lease=lease))[1:-1]
    prev = "null" if change.previous is None else objects.stored_endpoint(change.previous)
    return (
        f'{{"type":"{kind(change)}","revision":{change.revision},{members},'
        f'"prev":{prev},"resync":{"true" if resync else "false"}}}'
    )
