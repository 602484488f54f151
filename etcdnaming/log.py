"""
The library's loggers: a log line stays one line, whatever etcd holds.

Addresses, keys and messages of servers are other people's text. Written raw, a newline in one of
them forges a log entry, and an escape code reaches the terminal on which the log is read.
"""

from __future__ import annotations

import logging

from .printable import printable

__all__ = ["logger"]


def logger(name: str) -> logging.Logger:
    """Return the logger *name*, which escapes the arguments of its messages."""
    found = logging.getLogger(name)
    found.addFilter(_escape)
    return found


def _escape(record: logging.LogRecord) -> bool:
    # The message itself stays as it is: error trackers group log entries by it.
    if isinstance(record.args, tuple):
        record.args = tuple(
            each if isinstance(each, (int, float)) else printable(str(each)) for each in record.args
        )
    return True
