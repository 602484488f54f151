"""The registration of an entrypoint: begun, withdrawn, left, without ever blocking the loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from ...errors import ClosedError, ConnectionFailedError, TLSError
from .loop import Loop, in_thread

if TYPE_CHECKING:
    from ...registration.registration import Registration

__all__ = ["Holder", "Make"]

LEAVE = 1.6
"""Seconds that etcd has for letting us go; with what comes before and after it, less than two."""

AGAIN = 1.0
"""Seconds until etcd is looked for again. Looking takes up to --dial-timeout by itself."""

Make: TypeAlias = Callable[[], "Registration"]


class Holder:
    """
    Holds what *make* makes, which may have to ask etcd for the address that we have.

    *failed* is called in the loop with what does not heal, *warn* in a thread with what may.
    `_lock` guards the registration and what is wanted of it.
    """

    def __init__(
        self,
        loop: Loop,
        make: Make,
        failed: Callable[[Exception], None],
        warn: Callable[[str], None],
    ) -> None:
        self._loop, self._make = loop, make
        self._failed, self._warn = failed, warn
        self._lock = threading.Lock()
        self._registration: Registration | None = None
        self._is_wanted = True
        self._leaving = threading.Event()

    @property
    def is_registered(self) -> bool:
        """Whether every endpoint is registered, by all we know."""
        return self._registration is not None and self._registration.registered

    def begin(self, *, strict: bool) -> None:
        """Begin; *strict*: what does not heal by waiting is the end, as long as it is new."""
        try:
            in_thread("holder", partial(self._begin, strict))
        except BlockingIOError:  # later there may be fewer processes
            self._loop.later(AGAIN, partial(self.begin, strict=strict))

    def want(self, *, wanted: bool) -> None:
        """Withdraw the endpoints, or restore them."""
        with self._lock:
            self._is_wanted = wanted
            if self._registration is not None:
                _want(self._registration, wanted)

    def leave(self, then: Callable[[bool], None]) -> None:
        """Delete what is ours, and call *then* in the loop with whether etcd has confirmed it."""
        with self._lock:
            self._leaving.set()
        try:
            in_thread("holder", partial(self._leave, then))
        except BlockingIOError:  # then the loop waits for etcd
            self._leave(then)

    def _begin(self, strict: bool) -> None:
        try:
            registration = self._started(strict)
            if registration:
                registration.wait()
        except ClosedError:
            return  # we have left
        except Exception as exc:  # noqa: BLE001 - it must not look like silence
            self._loop.post(partial(self._failed, exc))

    def _started(self, strict: bool) -> Registration | None:
        said = False
        while not self._leaving.is_set():
            try:
                registration = self._make()
                return registration if self._has_started(registration, strict) else None
            except ConnectionFailedError as exc:
                if strict and isinstance(exc, TLSError):
                    raise
                if not said:
                    self._warn(str(exc))
                said = True
            self._leaving.wait(AGAIN)
        return None

    def _has_started(self, registration: Registration, strict: bool) -> bool:
        with self._lock:
            if self._leaving.is_set():
                return False
            self._registration = registration  # before anything can be told of it
            registration.start(wait=False, strict=strict)
            if not self._is_wanted:
                _want(registration, wanted=False)
        return True

    def _leave(self, then: Callable[[bool], None]) -> None:
        clean = self._registration is None or self._registration.close(LEAVE)
        self._loop.post(partial(then, clean))


def _want(registration: Registration, wanted: bool) -> None:
    with suppress(ClosedError):  # it has failed, which was told
        registration.restore() if wanted else registration.withdraw()
