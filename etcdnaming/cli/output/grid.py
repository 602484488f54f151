"""
Columns of text, laid out here and drawn by rich, and the rows of endpoints, keys and changes.

`rich.table.Table` takes half a millisecond a row, so the layout is done here. As in kubectl, docker
and gh, there are no lines between rows and columns; only the header has a style.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from ...model import Condition, Endpoint, InvalidValue, StoredEndpoint, StoredKey, Update
from ...printable import printable
from ...wire import dumps
from .spelling import escape, lease_id, safe_json
from .streams import terminal_width, wants_colour

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderResult
    from rich.style import Style

__all__ = [
    "CHANGES",
    "EFFECT_STYLES",
    "ENDPOINTS",
    "KEYS",
    "Grid",
    "Row",
    "condition_row",
    "draw",
    "endpoint_row",
    "fit",
    "key_row",
    "previous_row",
    "update_row",
]

GAP = "  "


# The column that can be long is the last one, so that no other column is padded for it.
ENDPOINTS = ("KEY", "ADDR", "LEASE", "TTL", "METADATA")
KEYS = ("KEY", "CREATE REVISION", "MOD REVISION", "VERSION", "LEASE")
CHANGES = ("OP", "KEY", "ADDR", "LEASE", "METADATA")
NONE = "-"

EFFECT_STYLES = {"added": "green", "changed": "yellow", "removed": "red", "renewed": ""}
"""By `spelling.effect`."""


class Row(NamedTuple):
    """
    Cells of printable text, and the style of the row, or of the cell in one *column* only.

    Green or yellow text is hard to read on a light background, and red on a dark one. So a colour
    is for the cell that names the state; keys and addresses have the colour of the terminal's text.
    """

    cells: Sequence[str]
    style: str = ""
    column: int | None = None


class Grid:
    """
    Rows under a header, in columns as wide as their text.

    If they don't fit the terminal, the last column, which can be long, moves to lines of its own
    below each row, unless *in_place* is set. Cells that are still too wide are folded, so nothing
    is lost.
    """

    def __init__(
        self, header: Sequence[str], rows: Iterable[Row], *, in_place: bool = False
    ) -> None:
        self._header, self._rows = Row(header, "bold"), [*rows]
        self._in_place = in_place
        self.has_header = True
        """Whether the header is drawn."""

    def __len__(self) -> int:
        """Return the number of rows under the header."""
        return len(self._rows)

    @property
    def natural_width(self) -> int:
        """The columns that it takes if nothing is folded."""
        natural = _natural_widths([self._header, *self._rows])
        return sum(natural) + len(GAP) * (len(natural) - 1)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = [self._header, *self._rows] if self.has_header else self._rows
        lines = self._layout(shown, options.max_width)
        for row in shown:
            style = console.get_style(row.style) if row.style else None
            for parts in lines(row.cells):
                if row.column is None:
                    yield Segment(_joined(parts), style)
                else:
                    yield from _with_styled_part(parts, row.column, style)
                yield Segment.line()

    def _layout(
        self, shown: Sequence[Row], room: int
    ) -> Callable[[Sequence[str]], Iterator[Sequence[str]]]:
        """Return the function that turns the cells of a row into lines of parts."""
        natural = _natural_widths(shown)
        gaps = len(GAP) * (len(natural) - 1)
        if sum(natural) + gaps <= room or len(natural) == 1 or self._in_place:
            return partial(_columns, fit(natural, room - gaps))
        return partial(_last_below, fit(natural[:-1], room - gaps + len(GAP)), room)


def _natural_widths(shown: Sequence[Row]) -> list[int]:
    columns = zip(*(row.cells for row in shown), strict=True)
    return [max(map(_width, column)) for column in columns]


def fit(natural: Sequence[int], room: int) -> list[int]:
    """
    Return widths for columns of *natural* widths that together take at most *room*.

    The widest columns are narrowed first; none gets less than 1.

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


def draw(*parts: Grid | Text, stream: TextIO | None = None) -> str:
    """Return *parts* drawn for *stream* (default: stdout), a blank line between non-empty ones."""
    drawn, shown = io.StringIO(), stream or sys.stdout
    colour = wants_colour(shown)
    console = Console(
        file=drawn,
        width=terminal_width(shown),
        force_terminal=colour,
        color_system="standard" if colour else None,
    )
    for part in filter(len, parts):
        if drawn.tell():
            console.print()
        # rich copies a Text and loses its no_wrap, so it is passed along here.
        is_whole = isinstance(part, Text) and part.no_wrap
        console.print(part, crop=False, no_wrap=is_whole, overflow="ignore" if is_whole else None)
    return drawn.getvalue()


def _joined(parts: Sequence[str]) -> str:
    return GAP.join(parts).rstrip(" ")


def _with_styled_part(parts: Sequence[str], column: int, style: Style | None) -> Iterator[Segment]:
    yield Segment("".join(part + GAP for part in parts[:column]))
    yield Segment("".join(parts[column : column + 1]), style)
    yield Segment("".join(GAP + part for part in parts[column + 1 :]).rstrip(" "))


def _last_below(widths: Sequence[int], room: int, cells: Sequence[str]) -> Iterator[Sequence[str]]:
    yield from _columns(widths, cells[:-1])
    if cells[-1]:
        # After an empty part, the gap is the indentation.
        yield from (("", part) for part in _fold(cells[-1], room - len(GAP)))


def _columns(widths: Sequence[int], cells: Sequence[str]) -> Iterator[Sequence[str]]:
    folded = [_fold(cell, width) for cell, width in zip(cells, widths, strict=True)]
    for line in zip_longest(*folded, fillvalue=""):
        yield [_pad(part, width) for part, width in zip(line, widths, strict=True)]


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _fold(text: str, width: int) -> list[str]:
    # rich.cells.chop_cells reversed the text in some releases.
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


def endpoint_row(found: StoredEndpoint, remaining: Mapping[int, int]) -> Row:
    """A row of `ENDPOINTS`."""
    key_and_addr = (escape(found.key), escape(found.endpoint.addr))
    lease = (_lease(found.lease), _ttl(remaining.get(found.lease)))
    return Row((*key_and_addr, *lease, _metadata(found.endpoint)))


def key_row(found: StoredKey) -> Row:
    """A row of `KEYS`."""
    revisions = (found.create_revision, found.mod_revision, found.version)
    return Row((escape(found.key), *map(str, revisions), _lease(found.lease)))


def update_row(change: Update) -> Row:
    """A row of `CHANGES`: one update."""
    operation = change.op.name.lower()
    if change.endpoint is None:
        return Row((operation, escape(change.key), NONE, NONE, ""))
    lease = "kept" if change.lease is None else _lease(change.lease)
    return _change(operation, change.key, change.endpoint, lease)


def previous_row(found: StoredEndpoint | InvalidValue) -> Row:
    """A row of `CHANGES`: a previous value."""
    if isinstance(found, InvalidValue):
        cells = (escape(found.key), "not an endpoint", _lease(found.lease), printable(found.reason))
        return Row(("was", *cells), "red", 0)
    return Row(_change("was", found.key, found.endpoint, _lease(found.lease)).cells, "dim")


def condition_row(wanted: Condition, style: str = "", column: int | None = None) -> Row:
    """A row of `CHANGES`: a condition."""
    what = str(wanted).removeprefix(f"{wanted.key} ")
    return Row(("if", escape(wanted.key), what, NONE, ""), style, column)


def _change(operation: str, key: str, endpoint: Endpoint, lease: str) -> Row:
    return Row((operation, escape(key), escape(endpoint.addr), lease, _metadata(endpoint)))


def _lease(lease: int) -> str:
    return lease_id(lease) if lease else NONE


def _ttl(seconds: int | None) -> str:
    if seconds is None:
        return NONE
    return f"{seconds}s" if seconds >= 0 else "gone"


def _metadata(endpoint: Endpoint) -> str:
    return "" if endpoint.metadata is None else safe_json(dumps(endpoint.metadata))
