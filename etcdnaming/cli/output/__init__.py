"""
What commands print: one file a format, all behind one interface, `printers.Printer`.

Results go to stdout in whole lines and are not flushed: the caller flushes once, at the end. A full
disk is an `OutputError`, a closed pipe a `BrokenPipeError`.
"""

from __future__ import annotations

__all__ = ["FORMATS"]

FORMATS = ("fields", "json", "simple", "table", "yaml")
