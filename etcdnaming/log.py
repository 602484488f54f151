"""
Loggers of the library, which escape the values they log.

Addresses, keys and messages of servers are untrusted text. Unescaped, a newline in one of them
forges a log entry, and an escape code reaches the terminal on which the log is read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .printable import printable

__all__ = ["logger", "report_to", "silent"]


def logger(name: str) -> logging.Logger:
    """Return the logger *name*, which escapes the arguments of its messages."""
    found = logging.getLogger(name)
    found.addFilter(_escape)
    return found


@contextmanager
def silent(name: str) -> Iterator[None]:
    """Disable the logger *name* in the block, because its events are reported otherwise."""
    found = logger(name)
    found.disabled = True
    try:
        yield
    finally:
        found.disabled = False


def report_to(name: str, report: Callable[[str], None]) -> None:
    """Call *report* with each warning of the logger *name*, unless the whole log has a handler."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if not logging.getLogger("etcdnaming").handlers:
                report(record.getMessage())

    found = logger(name)
    if not found.handlers:
        found.addHandler(Handler(logging.WARNING))


def _escape(record: logging.LogRecord) -> bool:
    # The message itself is not escaped: error trackers group log entries by it.
    if isinstance(record.args, tuple):
        record.args = tuple(
            each if isinstance(each, (int, float)) else printable(str(each)) for each in record.args
        )
    return True
