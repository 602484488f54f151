"""
Read single keys, and change endpoints that exist by compare-and-swap.

Each key is written only if it was not changed since it was read, so that no change of another
client is lost, and it stays on its lease.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .. import keys
from ..errors import (
    ConflictError,
    EndpointNotFoundError,
    InvalidValueError,
    TooManyOperationsError,
)
from ..etcd import Client, within
from ..etcd.columns import KeyValue
from ..etcd.transactions import Compare, Get, look_up_with_header, transact
from ..model import (
    Condition,
    Endpoint,
    Header,
    InvalidValue,
    StoredEndpoint,
    Update,
    UpdateResult,
)
from .decoding import stored_endpoint
from .transaction import MAX_TXN_OPS, operation

__all__ = ["get", "modify", "plan"]

MAX_ATTEMPTS = 10
"""Transactions sent while other clients change the keys, before giving up."""


def get(
    client: Client, names: Sequence[str], *, to_write: bool = False
) -> tuple[Header, list[StoredEndpoint | InvalidValue | None]]:
    """
    Return the header of the answer, and what is stored at each key of *names*; at least one.

    More keys than one transaction takes are read in several, and then not at one revision.
    *to_write*: if the user has no permission, the error names the one that writing needs.
    """
    found: list[KeyValue | None] = []
    encoded = [keys.encode(name) for name in names]
    with within(client.timeout):
        for begin in range(0, len(encoded), MAX_TXN_OPS):
            batch = encoded[begin : begin + MAX_TXN_OPS]
            header, some = look_up_with_header(client, batch, to_write=to_write)
            found += some
    return header, [*map(_decoded, found)]


def modify(
    client: Client,
    names: Sequence[str],
    change: Callable[[StoredEndpoint], Endpoint],
    *,
    max_txn_ops: int = MAX_TXN_OPS,
    previous: bool = False,
) -> UpdateResult:
    """
    Replace the endpoint at each key of *names* by what *change* returns for it, all or none.

    *change* is called again for each key if another client was faster.

    Raises:
        EndpointNotFoundError, InvalidValueError: A key does not exist, or its value can't be read.
        ConflictError: Other clients changed the keys each time. Nothing was written.
        TooManyOperationsError: More than *max_txn_ops* keys. Nothing was sent.
        OutcomeUnknownError: It was sent, and no answer came.
    """
    names = list(dict.fromkeys(names))
    if len(names) > max_txn_ops:
        raise TooManyOperationsError(len(names), max_txn_ops)
    with within(client.timeout):
        _, found = get(client, names, to_write=True)
        for _ in range(MAX_ATTEMPTS):
            updates, conditions = plan(names, found, change)
            result = transact(
                client,
                [Compare(keys.encode(key), revision) for key, revision in conditions],
                [operation(each, exists=True) for each in updates],
                [Get(keys.encode(name)) for name in names],
            )
            if result.succeeded:
                before = {each.key: each for each in found if each} if previous else {}
                return UpdateResult(result.header, updates, before, {})
            found = [*map(_decoded, result.found)]
    raise ConflictError(names, MAX_ATTEMPTS)


def plan(
    names: Sequence[str],
    found: Sequence[StoredEndpoint | InvalidValue | None],
    change: Callable[[StoredEndpoint], Endpoint],
) -> tuple[tuple[Update, ...], Sequence[Condition]]:
    """
    Return the updates that `modify` makes, and their conditions; *found* is stored at *names*.

    Raises:
        EndpointNotFoundError, InvalidValueError: As `modify`.
    """
    missing = [name for name, stored in zip(names, found, strict=True) if stored is None]
    if missing:
        raise EndpointNotFoundError(missing)
    invalid = [each for each in found if isinstance(each, InvalidValue)]
    if invalid:
        raise InvalidValueError("; ".join(f"{each.key}: {each.reason}" for each in invalid))
    endpoints = [each for each in found if isinstance(each, StoredEndpoint)]
    return (
        tuple(Update.add(each.key, change(each)) for each in endpoints),
        [Condition(each.key, each.mod_revision) for each in endpoints],
    )


def _decoded(kv: KeyValue | None) -> StoredEndpoint | InvalidValue | None:
    return None if kv is None else stored_endpoint(kv)
