"""
What commands print: one file a format, all behind one interface, `printers.Printer`.

Results go to stdout in whole lines and are not flushed: the caller flushes once, at the end. A full
disk is an `OutputError`, a closed pipe a `BrokenPipeError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from .printers import Printer

__all__ = ["FORMATS", "printer"]

FORMATS = ("fields", "json", "simple", "table", "yaml")


def printer(name: str, stream: TextIO | None = None, *, headers: bool = True) -> Printer:
    """
    Return the printer of the format *name*, one of `FORMATS`; only its module is imported.

    *stream* is where the ``…_lines`` will be written (default: stdout); a table adapts to it.
    Without *headers* a table has no header line.
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
        from .table import TablePrinter  # imports rich

        return TablePrinter(stream, headers=headers)
    if name == "yaml":
        from .yaml import YAMLPrinter

        return YAMLPrinter()
    raise ValueError(f"unknown format {name!r}")
