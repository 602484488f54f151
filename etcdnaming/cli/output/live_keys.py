"""Read the keys that are pressed while the live table is shown."""

from __future__ import annotations

import os
import re
import select
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from . import terminal

__all__ = ["read_keys"]

_KEY = re.compile(rb"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)


def read_keys(on_key: Callable[[bytes], None]) -> None:
    """Call *on_key* with each key that is typed, in a thread of its own; a terminal is needed."""
    if terminal.is_terminal(sys.stdin):
        threading.Thread(target=_read, args=[on_key], name="etcdnaming-keys", daemon=True).start()


def _read(on_key: Callable[[bytes], None]) -> None:
    descriptor = sys.stdin.fileno()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    with suppress(OSError):  # the terminal is gone
        while poll.poll() and (typed := os.read(descriptor, 256)):
            for key in _KEY.findall(typed):
                on_key(key)
