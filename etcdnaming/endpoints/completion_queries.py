"""Cheap queries for shell completion: the first keys or targets that begin with a text."""

from __future__ import annotations

from collections.abc import Iterator

from .. import keys
from ..etcd import Client, rpc

__all__ = ["keys_with_prefix", "targets_with_prefix"]

PAGE_SIZE = 200


def keys_with_prefix(client: Client, text: str) -> Iterator[str]:
    """Yield the keys that begin with *text*, in order."""
    start, end = _range_of(text)
    while True:
        answer = client.range(
            rpc.RangeRequest(key=start, range_end=end, limit=PAGE_SIZE, keys_only=True)
        )
        yield from (keys.decode(kv.key) for kv in answer.kvs)
        if not answer.more:
            return
        start = answer.kvs[-1].key + b"\0"


def targets_with_prefix(client: Client, text: str) -> Iterator[str]:
    """Yield the targets that begin with *text*; targets below a yielded one are left out."""
    start, end = _range_of(text)
    while True:
        answer = client.range(rpc.RangeRequest(key=start, range_end=end, limit=1, keys_only=True))
        if not answer.kvs:
            return
        key = keys.decode(answer.kvs[0].key)
        target = key.rpartition("/")[0]
        if target.strip("/") and target.startswith(text):
            yield target
            start = keys.range_of(target)[1]  # skip its other keys
        else:
            start = answer.kvs[0].key + b"\0"


def _range_of(text: str) -> tuple[bytes, bytes]:
    """Return the first key that can begin with *text*, and the first after all that do."""
    first = keys.encode(text)
    bound = first.rstrip(b"\xff")
    # To etcd one zero byte is the lowest key, and as range_end it means: no end.
    return first or b"\0", bound[:-1] + bytes([bound[-1] + 1]) if bound else b"\0"
