"""Something to say is said in a thread of its own: who reads it may be slow, stuck or gone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue

from .loop import in_thread

__all__ = ["Voice"]

MOST = 100_000
"""How many things wait for a reader who is stuck, before the next ones are dropped."""


class Voice:
    """Says one thing after another; nobody who has something to say waits for it."""

    def __init__(self) -> None:
        self._words: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def begin(self, failed: Callable[[OSError], None]) -> None:
        """Begin to speak; *failed* is called, in this thread, when that can't be done."""
        in_thread("voice", partial(self._speak, failed))

    def say(self, words: Callable[[], None]) -> None:
        """Have *words* called."""
        if self._words.qsize() < MOST:
            self._words.put(words)

    def finish(self, timeout: float) -> None:
        """Return when all has been said, at the latest after *timeout* seconds."""
        said = threading.Event()
        self._words.put(said.set)
        said.wait(timeout)

    def _speak(self, failed: Callable[[OSError], None]) -> None:
        while True:
            try:
                self._words.get()()
            except OSError as exc:
                failed(exc)
