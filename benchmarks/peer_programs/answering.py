"""The protocol of the programs in this directory; Go's ``manager`` has the same one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sized

__all__ = ["ADDR", "TARGET", "answer"]

TARGET = "svc"
ADDR = "10.0.0.1:8080"


def answer(list_all: Callable[[], Sized], add: Callable[[int], None]) -> None:
    """
    Execute each command on stdin: ``list``, or ``add COUNT``.

    Each one is answered with the number of endpoints, and the nanoseconds of time and of CPU that
    the command took. The process lives on between two lines: starting it is not measured.
    """
    for line in sys.stdin:
        what, *count = line.split()
        found: Sized = range(int(count[0]) if count else 0)
        begun, busy = time.perf_counter_ns(), time.process_time_ns()
        if what == "list":
            found = list_all()
        else:
            add(len(found))
        took = time.perf_counter_ns() - begun, time.process_time_ns() - busy
        print(len(found), *took, flush=True)
