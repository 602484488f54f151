"""Fork while other threads hold locks: an inherited lock is then never released in the child."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

__all__ = ["held_elsewhere"]

_LOCKS = (type(threading.Lock()), type(threading.RLock()), threading.Condition, threading.Event)


@contextmanager
def held_elsewhere() -> Iterator[int]:
    """Have another thread hold every lock of this package's objects; yield their number."""
    held, done = threading.Event(), threading.Event()
    locks = _locks()

    def hold() -> None:
        with ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)
            held.set()
            done.wait()

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    held.wait(10)
    assert held.is_set(), "a lock was not released"
    yield len(locks)
    done.set()
    holder.join()


def _locks() -> list[Any]:
    found = [
        getattr(value, "_cond", value)  # that of an event
        for each in gc.get_objects()
        if str(type(each).__module__).startswith("etcdnaming.")
        for value in _attributes(each)
        if isinstance(value, _LOCKS)
    ]
    return list({id(lock): lock for lock in found}.values())


def _attributes(each: object) -> Iterator[object]:
    yield from getattr(each, "__dict__", {}).values()
    for kind in type(each).__mro__:
        for name in getattr(kind, "__slots__", ()):
            with suppress(AttributeError):
                yield getattr(each, name)
