"""
Decode the answer to a range read into a list for each field of its keys.

A protobuf parser merges a message that occurs again where one is expected, and appends what is
repeated in it. So a message type in which ``kvs`` is one message with repeated fields decodes a
page into six lists, without an object for each key. A field that is zero or empty is not sent. If
all keys lack it, its list is empty; if only some do, the list is too short to tell which, and the
page is decoded key by key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple, Protocol, cast, overload

from . import rpc_pb2 as rpc

__all__ = ["Columns", "KeyValue", "PageOfColumns", "Row", "rows_of"]

_FIELDS = ("key", "value", "create_revision", "mod_revision", "version", "lease")
_COLUMNS = attrgetter(*_FIELDS)
_ZEROS: tuple[bytes | int, ...] = (b"", b"", 0, 0, 0, 0)


class KeyValue(Protocol):
    """A key as etcd stores it, to be read only."""

    @property
    def key(self) -> bytes: ...  # noqa: D102 - etcd's names
    @property
    def value(self) -> bytes: ...  # noqa: D102
    @property
    def create_revision(self) -> int: ...  # noqa: D102
    @property
    def mod_revision(self) -> int: ...  # noqa: D102
    @property
    def version(self) -> int: ...  # noqa: D102
    @property
    def lease(self) -> int: ...  # noqa: D102


class Row(NamedTuple):
    """One key, with the attributes of etcd's ``KeyValue``."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int


_new_row = partial(tuple.__new__, Row)


def rows_of(kvs: Iterable[object]) -> list[Row]:
    """Return *kvs*, which have the attributes of a `Row`, as rows."""
    return [*map(_new_row, map(_COLUMNS, kvs))]


class Columns(Sequence[Row]):
    """Keys, as a list for each of their fields, in the order of `Row`; all have one length."""

    __slots__ = ("lists",)

    def __init__(self, lists: Sequence[list[Any]]) -> None:
        self.lists = lists

    @classmethod
    def of(cls, kvs: Iterable[object]) -> Columns:
        """Return *kvs*, which have the attributes of a `Row`, in columns."""
        return cls([*map(list, zip(*map(_COLUMNS, kvs), strict=True))] or [[]] * len(_FIELDS))

    def __len__(self) -> int:
        return len(self.lists[0])

    def __iter__(self) -> Iterator[Row]:
        return map(Row, *self.lists)

    @overload
    def __getitem__(self, position: int) -> Row: ...
    @overload
    def __getitem__(self, position: slice) -> Columns: ...
    def __getitem__(self, position: int | slice) -> Row | Columns:
        parts = [column[position] for column in self.lists]
        return Columns(parts) if isinstance(position, slice) else Row._make(parts)


class PageOfColumns:
    """A ``RangeResponse`` with its keys in `Columns`, or as messages where that is impossible."""

    __slots__ = ("_size", "count", "header", "kvs", "more")

    def __init__(
        self,
        response: rpc.RangeColumns | rpc.RangeResponse,
        kvs: Columns | Sequence[rpc.KeyValue],
        size: int,
    ) -> None:
        self.header, self.count, self.more = response.header, response.count, response.more
        # A row of `Columns` has the attributes of the message, and is only read.
        self.kvs = cast("Sequence[rpc.KeyValue]", kvs)
        self._size = size

    @classmethod
    def FromString(cls, data: bytes) -> PageOfColumns:  # noqa: N802 - as protobuf's
        """
        Decode *data*.

        Raises:
            DecodeError: It is no ``RangeResponse``.
        """
        response = rpc.RangeColumns.FromString(data)
        kvs = _columns(response.kvs) if response.HasField("kvs") else Columns([[]] * len(_FIELDS))
        if kvs is not None:
            return cls(response, kvs, len(data))
        keys = rpc.RangeResponse.FromString(data)
        return cls(keys, keys.kvs, len(data))

    def ByteSize(self) -> int:  # noqa: N802 - as protobuf's
        """Return the size of the answer in bytes."""
        return self._size


def _columns(kvs: rpc.KeyValueColumns) -> Columns | None:
    lists: list[list[Any]] = [column[:] for column in _COLUMNS(kvs)]
    number = len(lists[0])  # etcd has no empty key
    if not number:
        return None
    for position, (column, zero) in enumerate(zip(lists, _ZEROS, strict=True)):
        if not column:
            lists[position] = [zero] * number
        elif len(column) != number:
            return None
    return Columns(lists)
