"""Cheap queries for shell completion: the keys, targets or addresses that begin with a text."""

from __future__ import annotations

from collections.abc import Iterator

from .. import keys
from ..etcd import Client
from ..etcd.ranges import read_keys, read_range
from ..model import StoredEndpoint
from .decoding import stored_endpoints

__all__ = ["addrs_with_prefix", "keys_with_prefix", "targets_with_prefix"]

PAGE_SIZE = 200


def keys_with_prefix(client: Client, text: str) -> Iterator[str]:
    """Yield the keys that begin with *text*, in order."""
    start, end = _range_of(text)
    while True:
        found, more = read_keys(client, (start, end), PAGE_SIZE)
        yield from map(keys.decode, found)
        if not more:
            return
        start = found[-1] + b"\0"


def targets_with_prefix(client: Client, text: str) -> Iterator[str]:
    """Yield the targets that begin with *text*; targets below a yielded one are left out."""
    start, end = _range_of(text)
    while True:
        found, _ = read_keys(client, (start, end), 1)
        if not found:
            return
        key = keys.decode(found[0])
        target = key.rpartition("/")[0]
        if target.strip("/") and target.startswith(text):
            yield target
            start = keys.range_of(target)[1]  # skip its other keys
        else:
            start = found[0] + b"\0"


def addrs_with_prefix(client: Client, target: str, text: str) -> list[str]:
    """Return the addresses of the endpoints of *target* that begin with *text*, each once."""
    found = read_range(client, keys.range_of(target), stored_endpoints)[1]
    addrs = [each.endpoint.addr for each in found if isinstance(each, StoredEndpoint)]
    return [*dict.fromkeys(addr for addr in addrs if addr and addr.startswith(text))]


def _range_of(text: str) -> tuple[bytes, bytes]:
    """Return the first key that can begin with *text*, and the first after all that do."""
    first = keys.encode(text)
    bound = first.rstrip(b"\xff")
    # To etcd one zero byte is the lowest key, and as range_end it means: no end.
    return first or b"\0", bound[:-1] + bytes([bound[-1] + 1]) if bound else b"\0"
