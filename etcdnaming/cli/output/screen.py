"""
The terminal while a live table has it: a screen of its own, with no cursor and no echo.

When it is given back it is as it was before, with what is to be left below.
"""

from __future__ import annotations

import os
import sys
import termios
from contextlib import suppress

from . import terminal
from .stdout import flush, write

__all__ = ["Screen"]

OWN, CLEAR, HIDE_CURSOR = "\x1b[?1049h", "\x1b[2J", "\x1b[?25l"
SHOW_CURSOR, ORIGINAL = "\x1b[?25h", "\x1b[?1049l"
HOME, REST_OF_LINE, REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


class Screen:
    """Belongs to one thread. While the terminal is not ours, nothing is drawn."""

    def __init__(self) -> None:
        self._is_ours = self._echoes = False

    def enter(self) -> None:
        """Take the terminal."""
        self._is_ours = True
        self._echo(on=False)
        _write(OWN + CLEAR + HIDE_CURSOR)

    def leave(self, text: str = "") -> None:
        """Give it back, if it is ours, and leave *text* on it."""
        if self._is_ours:
            self._is_ours = False
            self._echo(on=True)
            _write(CLEAR + SHOW_CURSOR + ORIGINAL)  # tmux keeps some of it if it is not cleared
        _write(text)

    def clear(self) -> None:
        """Remove what was drawn for another size."""
        if self._is_ours:
            _write(CLEAR)

    def show(self, text: str) -> None:
        """Draw the lines of *text* over what is there."""
        if self._is_ours:
            lines = text.rstrip("\n").replace("\n", f"{REST_OF_LINE}\n")
            _write(HOME + lines + REST_OF_SCREEN)

    def size(self) -> os.terminal_size:
        """Return the columns and lines there are now, whatever there were when we were started."""
        return terminal.size(sys.stdout.fileno())

    def _echo(self, *, on: bool) -> None:
        """Let what is typed show, if it did: it would land anywhere in the table."""
        with suppress(termios.error, ValueError, AttributeError):  # nobody types
            modes = termios.tcgetattr(sys.stdin)
            echo = modes[3] & termios.ECHO
            if on and self._echoes:
                modes[3] |= termios.ECHO
            elif not on:
                self._echoes = bool(echo)
                modes[3] &= ~termios.ECHO
            termios.tcsetattr(sys.stdin, termios.TCSANOW, modes)


def _write(text: str) -> None:
    write([text])
    flush()
