"""A terminal emulator that understands the escape codes our programs use."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress

import pexpect

from .waiting import TIMEOUT

__all__ = ["Picture"]

PARTS = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")


class _Sheet:
    """Lines of text, and the position of the cursor."""

    def __init__(self) -> None:
        self.lines = [""]
        self.row = self.column = 0

    def write(self, text: str) -> None:
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[: self.column] + text + line[self.column + len(text) :]
        self.column += len(text)

    def feed(self) -> None:
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append("")

    def home(self) -> None:
        self.row = self.column = 0

    def clear(self) -> None:
        self.lines[:] = [""] * (self.row + 1)

    def clear_line(self) -> None:
        self.lines[self.row] = self.lines[self.row][: self.column]

    def clear_below(self) -> None:
        self.clear_line()
        del self.lines[self.row + 1 :]


class Picture:
    """The screen of the program on *terminal*. An unknown escape code fails the test."""

    def __init__(self, terminal: pexpect.spawn[str]) -> None:
        self.terminal = terminal
        self._original, self._own = _Sheet(), _Sheet()
        self._sheet = self._original
        self._style, self._unread = "", ""
        self.styles: dict[str, str] = {}
        """The style each text was last drawn in: the numbers of the escape code."""
        self.has_cursor = True

    @property
    def is_own(self) -> bool:
        """Whether the program uses the alternate screen now."""
        return self._sheet is self._own

    @property
    def lines(self) -> list[str]:
        """The lines on the screen, without blanks at the ends."""
        return [line.rstrip() for line in self._sheet.lines]

    def wait_for(self, *texts: str, timeout: float = TIMEOUT) -> None:
        """Wait until all *texts* are on the screen; fail the test after the timeout."""
        self.wait_until(lambda: all(text in "\n".join(self.lines) for text in texts), timeout)
        self._read_rest()

    def wait_until(self, predicate: Callable[[], bool], timeout: float = TIMEOUT) -> None:
        """Wait until the condition holds for the screen; fail the test after *timeout* seconds."""
        end = time.monotonic() + timeout
        while not predicate():
            assert time.monotonic() < end, "\n".join(self.lines)
            self._read()

    def finish(self) -> None:
        """Read all output up to the exit of the program."""
        while self._read():
            pass
        self.terminal.wait()

    def _read_rest(self) -> None:
        """Read what is drawn with the text that was waited for: a read may end between them."""
        with suppress(pexpect.TIMEOUT, pexpect.EOF):
            for _ in range(20):
                self._draw_next()

    def _read(self) -> bool:
        try:
            self._draw_next()
        except pexpect.TIMEOUT:
            pass
        except pexpect.EOF:
            return False
        return True

    def _draw_next(self) -> None:
        self._draw(self.terminal.read_nonblocking(65536, timeout=0.05))

    def _draw(self, text: str) -> None:
        text = self._unread + text
        whole = text.rfind("\x1b")
        cut = len(text) if whole < 0 or PARTS.match(text, whole) else whole
        self._unread = text[cut:]
        at = 0
        while at < cut:
            part = PARTS.match(text, at)
            assert part, f"unknown: {text[at : at + 10]!r}"
            self._obey(*part.groups())
            at = part.end()

    def _obey(
        self, number: str | None, code: str | None, cr: str | None, lf: str | None, text: str | None
    ) -> None:
        if text:
            self._sheet.write(text)
            self.styles[text.strip()] = self._style
        elif cr:
            self._sheet.column = 0
        elif lf:
            self._sheet.feed()
        elif code == "m":
            self._style = "" if number == "0" else number or ""
        else:
            self._control(f"{number}{code}")

    def _control(self, code: str) -> None:
        actions: dict[str, Callable[[], None]] = {
            "H": self._sheet.home,
            "K": self._sheet.clear_line,
            "J": self._sheet.clear_below,
            "2J": self._sheet.clear,
            "?1049h": lambda: self._use(self._own),
            "?1049l": lambda: self._use(self._original),
            "?25h": lambda: self._show_cursor(True),
            "?25l": lambda: self._show_cursor(False),
        }
        assert code in actions, f"unknown: {code!r}"
        actions[code]()

    def _use(self, sheet: _Sheet) -> None:
        self._sheet = sheet

    def _show_cursor(self, shown: bool) -> None:
        self.has_cursor = shown
