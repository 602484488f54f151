"""More updates than one transaction takes, in several."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice

from ...errors import OutcomeUnknownError
from ...model import Update, UpdateResult
from .. import stderr
from ..app import App
from ..output.printers import Printer
from ..signals import unwinding

__all__ = ["in_batches", "split"]


def in_batches(
    app: App,
    printer: Printer,
    updates: Sequence[Update],
    *,
    size: int,
    max_txn_ops: int,
    renew_time_limit: Callable[[], None],
) -> list[UpdateResult]:
    """
    Make *updates*, those of *size* keys at a time, and show how far that has come.

    Each batch has the time of one command. When one fails, or the user has enough, it says how many
    updates were made: they are not undone.
    """
    total = len({each.key for each in updates})
    written = 0
    results: list[UpdateResult] = []
    with unwinding(signal.SIGINT, signal.SIGTERM):
        try:
            with printer.progress(total) as show:
                for batch in [*split(updates, size)] or [[]]:  # nothing has an answer too
                    results.append(app.update(batch, max_txn_ops=max_txn_ops))
                    written += len(results[-1].updates)
                    show(written)
                    renew_time_limit()
        except BaseException as exc:
            at_least = "at least " if isinstance(exc, OutcomeUnknownError) else ""
            stderr.warn(f"{at_least}{written} of {total} updates were written")
            raise
    return results


def split(updates: Sequence[Update], size: int) -> Iterator[list[Update]]:
    """
    Yield *updates* in parts of *size* keys, with all that is said of a key in the same.

    >>> a, b = Update.delete("svc/a"), Update.delete("svc/b")
    >>> [len(part) for part in split([a, b, a, b], 1)]
    [2, 2]
    """
    by_key: dict[str, list[Update]] = {}
    for update in updates:
        by_key.setdefault(update.key, []).append(update)
    groups = iter(by_key.values())
    while part := list(islice(groups, size)):
        yield list(chain.from_iterable(part))
