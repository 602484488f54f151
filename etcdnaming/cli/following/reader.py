"""
Who reads our stdout, through a pipe, may leave while we have nothing to say to them.

``watch | head -1`` is to end when head does, and not with the next change, which may be tomorrow.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import threading
from collections.abc import Callable

__all__ = ["Reader"]


class Reader:
    """Calls *gone*, in a thread of its own, once nobody can read what we write to a pipe."""

    def __init__(self, gone: Callable[[], None]) -> None:
        self.has_left = False
        self._gone = gone
        mode = os.fstat(sys.stdout.fileno()).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            threading.Thread(target=self._wait, name="etcdnaming-reader", daemon=True).start()

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)  # a hangup is told unasked
        poll.poll()
        self.has_left = True
        self._gone()
