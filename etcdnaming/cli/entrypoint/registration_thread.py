"""The registration of an entrypoint: started, withdrawn and closed without blocking the loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from ...errors import ClosedError, ConnectionFailedError, TLSError
from .loop import Loop, start_thread

if TYPE_CHECKING:
    from ...registration.registration import Registration

__all__ = ["RegistrationThread"]

CLOSE_TIMEOUT = 1.6
"""Seconds for deleting the endpoints and revoking the lease: the whole exit takes less than two."""

RETRY_INTERVAL = 1.0
"""Seconds between two attempts to reach etcd, each of which takes up to --dial-timeout."""


class RegistrationThread:
    """
    Create a registration with *create* and run it, in threads of their own.

    *create* may block, because the local address may have to be learned from a connection to etcd.
    *failed* is called in the loop with an error that retrying does not mend, *warn* in a thread
    with one that it may.

    `_lock` guards `_registration` and `_is_wanted`. `close` may run before the registration exists;
    so `_closing` is set and tested under the lock, and a registration is never started after it.
    """

    def __init__(
        self,
        loop: Loop,
        create: Callable[[], Registration],
        failed: Callable[[Exception], None],
        warn: Callable[[str], None],
    ) -> None:
        self._loop, self._create = loop, create
        self._failed, self._warn = failed, warn
        self._lock = threading.Lock()
        self._registration: Registration | None = None
        self._is_wanted = True
        self._closing = threading.Event()

    @property
    def is_registered(self) -> bool:
        """Whether all endpoints are registered, as far as this process knows."""
        return self._registration is not None and self._registration.registered

    @property
    def renewal(self) -> tuple[int, float] | None:
        """The TTL of the lease and when it was renewed last; see `Registration.renewal`."""
        return None if self._registration is None else self._registration.renewal

    def start(self, *, strict: bool) -> None:
        """Start registering; with *strict*, the first error that retrying can't mend is final."""
        try:
            start_thread("registration", partial(self._run, strict))
        except BlockingIOError:  # too many processes; try again
            self._loop.call_later(RETRY_INTERVAL, partial(self.start, strict=strict))

    def set_wanted(self, wanted: bool) -> None:
        """Restore the endpoints, or withdraw them for now."""
        with self._lock:
            self._is_wanted = wanted
            if self._registration is not None:
                _set_wanted(self._registration, wanted)

    def close(self, then: Callable[[bool], None]) -> None:
        """Delete the endpoints, then call *then* in the loop with whether etcd confirmed it."""
        with self._lock:
            self._closing.set()
        try:
            start_thread("registration", partial(self._close, then))
        except BlockingIOError:  # no thread: block the loop for up to CLOSE_TIMEOUT
            self._close(then)

    def _run(self, strict: bool) -> None:
        try:
            registration = self._create_and_start(strict)
            if registration:
                registration.wait()
        except ClosedError:
            return
        except Exception as exc:  # noqa: BLE001 - any error ends the thread, and must be reported
            self._loop.post(partial(self._failed, exc))

    def _create_and_start(self, strict: bool) -> Registration | None:
        warned: set[str] = set()
        while not self._closing.is_set():
            try:
                registration = self._create()
                return registration if self._start(registration, strict) else None
            except ConnectionFailedError as exc:
                if strict and isinstance(exc, TLSError):
                    raise
                if str(exc) not in warned:
                    self._warn(str(exc))
                warned.add(str(exc))
            self._closing.wait(RETRY_INTERVAL)
        return None

    def _start(self, registration: Registration, strict: bool) -> bool:
        with self._lock:
            if self._closing.is_set():
                return False
            # Before its first event: the loop then asks `is_registered`.
            self._registration = registration
            registration.start(wait=False, strict=strict)
            if not self._is_wanted:
                _set_wanted(registration, wanted=False)
        return True

    def _close(self, then: Callable[[bool], None]) -> None:
        clean = self._registration is None or self._registration.close(CLOSE_TIMEOUT)
        self._loop.post(partial(then, clean))


def _set_wanted(registration: Registration, wanted: bool) -> None:
    with suppress(ClosedError):  # it has failed, and that was reported
        registration.restore() if wanted else registration.withdraw()
