"""Fit the rows of the live table to the terminal: one line each, cut where necessary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from .grid import GAP, Row, draw

__all__ = ["Columns", "Line", "draw_lines", "prepare"]

SIGN, KEY, ADDR, LEASE, TTL, CHANGED, METADATA = range(7)
HEADER = ("", "KEY", "ADDR", "LEASE", "TTL", "CHANGED", "METADATA")

LAYOUTS = (
    (SIGN, KEY, ADDR, LEASE, TTL, CHANGED, METADATA),
    (SIGN, KEY, ADDR, LEASE, TTL, METADATA),
    (SIGN, KEY, ADDR, LEASE, METADATA),
    (SIGN, KEY, ADDR, METADATA),
    (SIGN, KEY, ADDR),
)
"""From wide to narrow; the first one that fits is used. In the last one, ADDR is cut last."""

MIN_METADATA = 10
"""Columns; metadata that gets less is left out."""

LONG = 60
"""Columns. One KEY or ADDR that is longer must not take the other columns from all rows."""


class Line(NamedTuple):
    """A line and its style; its first character, the sign of a row, may have another one."""

    text: str = ""
    style: str = ""
    sign_style: str = ""


class Columns:
    """The widths of the columns. They only grow, so that columns don't jump when cells change."""

    def __init__(self) -> None:
        self._natural = [1, *map(len, HEADER[1:])]
        self._natural[TTL] = len("3600s")
        self._natural[CHANGED] = len("00:00:00")

    def lines(self, found: Sequence[Row], room: int) -> list[Line]:
        """
        Return the header and *found* as lines of at most *room* columns.

        A row with a style is bold, and only its sign has that style: see `Row`.
        """
        for row in found:
            wanted = map(cell_len, row.cells)
            self._natural = [max(*each) for each in zip(self._natural, wanted, strict=True)]
        layout, widths = self._layout(room)

        def text(row: Row) -> str:
            return _line([row.cells[column] for column in layout], layout, widths)

        rows = (Line(text(row), "bold" if row.style else "", row.style) for row in found)
        return [Line(text(Row(HEADER)), "bold"), *rows]

    def _layout(self, room: int) -> tuple[Sequence[int], Sequence[int]]:
        long = max(LONG, room // 3)
        for layout in LAYOUTS:
            left = room - len(GAP) * (len(layout) - 1)
            widths = self._narrowed(layout, left, {KEY: long, ADDR: long, METADATA: MIN_METADATA})
            if sum(widths) <= left:
                return layout, widths
        return layout, self._narrowed(layout, left, {KEY: max(1, room // 5), ADDR: 1})

    def _narrowed(
        self, layout: Sequence[int], room: int, least: Mapping[int, int]
    ) -> Sequence[int]:
        """Return the widths of *layout*, the columns in *least* narrowed in turn until all fit."""
        widths = {column: self._natural[column] for column in layout}
        for column in filter(widths.__contains__, least):
            surplus = max(0, sum(widths.values()) - room)
            narrowest = min(widths[column], least[column])
            widths[column] = max(narrowest, widths[column] - surplus)
        return [*widths.values()]


def draw_lines(lines: Sequence[Line]) -> str:
    """Return *lines* in their styles, as far as the terminal supports them."""
    text = Text("\n", no_wrap=True, overflow="ignore")
    return draw(text.join(map(_styled, lines)))


def prepare() -> None:
    """Import everything that drawing needs, and what rich imports only on first use."""
    cell_len("字")  # the table of character widths
    draw_lines([Line("", "dim")])


def _styled(line: Line) -> Text:
    text = Text(line.text, line.style)
    if line.sign_style:
        text.stylize(line.sign_style, 0, 1)
    return text


def _line(cells: Sequence[str], layout: Sequence[int], widths: Sequence[int]) -> str:
    cut = (_cut(*each) for each in zip(cells, layout, widths, strict=True))
    return GAP.join(cut).rstrip(" ")


def _cut(text: str, column: int, width: int) -> str:
    """Return *text* cut or padded to *width*; a key keeps its end, where keys differ."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    if column != KEY:
        return set_cell_size(text, width - 1) + "…"
    while cell_len(text) > width - 1:
        text = text[1:]
    return set_cell_size("…" + text, width)
