"""
What commands print: each format is one small printer, and all of them speak of the same things.

Results go to stdout, whole lines at a time, and are not flushed: the caller does that once, at
the end. A full disk or a closed pipe shows as the plain `OSError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # who only wants to know the names of the formats need not load the rest
    from ...errors import ConditionFailedError
    from ...model import Condition, Deletion, Keys, Listing, Services, Update, UpdateResult

__all__ = ["FORMATS", "Printer", "printer"]

FORMATS = ("fields", "json", "simple", "table")


class Printer(Protocol):
    """One format. A value that can't be read is the command's to warn about, in every format."""

    wants_remaining: bool
    """Whether `listing` shows how many seconds the leases still have."""

    wants_leases: bool
    """Whether it tells the leases of keys that are listed without their values."""

    def added(self, result: UpdateResult, prev_kv: bool) -> None:
        """One endpoint was stored; with *prev_kv*, say what its key held before."""

    def deleted(self, deletion: Deletion, prev_kv: bool) -> None:
        """Keys were deleted; with *prev_kv*, say what they held."""

    def listing(self, listing: Listing, remaining: Mapping[int, int]) -> None:
        """The endpoints of a target. *remaining*: seconds by lease id where known, -1 for gone."""

    def addrs(self, listing: Listing) -> None:
        """Only the addresses of the endpoints of a target."""

    def keys(self, keys: Keys) -> None:
        """Only the keys under a target."""

    def count(self, keys: Keys) -> None:
        """Only the number of keys under a target."""

    def services(self, services: Services) -> None:
        """The targets under a prefix."""

    def transaction(self, results: Sequence[UpdateResult]) -> None:
        """Updates were made, in one transaction for each of *results*."""

    def failure(self, error: ConditionFailedError, updates: Sequence[Update]) -> None:
        """None of *updates* was made, because a condition was not met."""

    def plan(self, updates: Sequence[Update], conditions: Sequence[Condition]) -> None:
        """What would be sent, and was not."""

    def version(self, versions: Mapping[str, str]) -> None:
        """The version of each part, by its name."""

    def progress(self, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Show on stderr how much of *total* is done; call what you get with the number done."""


def printer(name: str) -> Printer:
    """
    Return the printer of the format *name*, one of `FORMATS`.

    Each is loaded only when it is chosen: the table brings rich, the others bring wire.
    """
    if name == "fields":
        from .fields import FieldsPrinter

        return FieldsPrinter()
    if name == "json":
        from .jsonlines import JSONLinesPrinter

        return JSONLinesPrinter()
    if name == "simple":
        from .simple import SimplePrinter

        return SimplePrinter()
    if name == "table":
        from .table import TablePrinter

        return TablePrinter()
    raise ValueError(f"{name!r} is none of {', '.join(FORMATS)}")
