"""
Columns of text for rich, which draws and colours them.

A renderable of our own, because `rich.table.Table` takes half a millisecond for a row. No lines
are drawn, only the header stands out: what people know from kubectl, docker and gh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

__all__ = ["Grid", "Row", "fit"]

GAP = "  "
INDENT = "  "


class Row(NamedTuple):
    """Cells, whose text must be printable, and the style of them all."""

    cells: Sequence[str]
    style: str = ""


class Grid:
    """
    Rows under a header, as wide as they need to be.

    Where that is too wide for the terminal, the last column, which can be long, has lines of its
    own beneath the others. Cells that are still too wide are folded, so nothing is lost.
    """

    def __init__(self, header: Sequence[str], rows: Iterable[Row]) -> None:
        self._rows = [Row(header, "bold"), *rows]

    def __len__(self) -> int:
        """Return the number of rows under the header."""
        return len(self._rows) - 1

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = self._layout(options.max_width)
        for row in self._rows:
            style = console.get_style(row.style) if row.style else None
            for line in lines(row.cells):
                yield Segment(line, style)
                yield Segment.line()

    def _layout(self, room: int) -> Callable[[Sequence[str]], Iterator[str]]:
        """Return the function that makes lines of cells."""
        columns = zip(*(row.cells for row in self._rows), strict=True)
        natural = [max(map(_width, column)) for column in columns]
        gaps = len(GAP) * (len(natural) - 1)
        if sum(natural) + gaps <= room or len(natural) == 1:
            return partial(_side_by_side, fit(natural, room - gaps))
        return partial(_last_beneath, fit(natural[:-1], room - gaps + len(GAP)), room)


def fit(natural: Sequence[int], room: int) -> list[int]:
    """
    Return the widths of columns that want to be *natural* wide, together at most *room*.

    The widest give way, but none is left with less than 1.

    >>> fit([20, 10, 5], 40), fit([20, 10, 5], 21)
    ([20, 10, 5], [8, 8, 5])
    """
    widths = list(natural)
    narrow_first = sorted(range(len(natural)), key=natural.__getitem__)
    for position, column in enumerate(narrow_first):
        share = room // (len(natural) - position)
        widths[column] = min(natural[column], max(share, 1))
        room -= widths[column]
    return widths


def _last_beneath(widths: Sequence[int], room: int, cells: Sequence[str]) -> Iterator[str]:
    yield from _side_by_side(widths, cells[:-1])
    if cells[-1]:
        yield from (INDENT + part for part in _fold(cells[-1], room - len(INDENT)))


def _side_by_side(widths: Sequence[int], cells: Sequence[str]) -> Iterator[str]:
    folded = [_fold(cell, width) for cell, width in zip(cells, widths, strict=True)]
    for line in zip_longest(*folded, fillvalue=""):
        padded = (_pad(part, width) for part, width in zip(line, widths, strict=True))
        yield GAP.join(padded).rstrip(" ")


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _fold(text: str, width: int) -> list[str]:
    # rich has chop_cells, which in some releases turned the text around.
    if _width(text) <= width:
        return [text]
    lines, room = [""], width
    for character in text:
        if lines[-1] and _width(character) > room:
            lines.append("")
            room = width
        lines[-1] += character
        room -= _width(character)
    return lines


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
