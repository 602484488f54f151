"""The registration of an entrypoint: started, withdrawn and closed without blocking the loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ...errors import ClosedError, ConnectionFailedError, TLSError
from ...model import Endpoint, Update
from ...registration.status import RegistrationEvent
from ..updates.endpoint import Notifier, complete
from .loop import Loop, start_thread

if TYPE_CHECKING:
    from ...registration.registration import Registration
    from ..app import App
    from .reporter import Reporter

__all__ = ["RegistrationThread", "create_registration"]

CLOSE_TIMEOUT = 1.6
"""Seconds for deleting the endpoints and revoking the lease: the whole exit takes less than two."""

RETRY_INTERVAL = 1.0
"""Seconds between two attempts to reach etcd, each of which takes up to --dial-timeout."""


def create_registration(
    app: App,
    updates: Sequence[Update],
    settings: Mapping[str, Any],
    reporter: Reporter,
    on_state: Callable[[RegistrationEvent], None],
) -> Registration:
    """
    Return a registration of *updates*, not started, that calls *on_state* with its events.

    *reporter* gets the complete endpoints, and the warnings about them.

    Raises:
        EtcdnamingError, click.UsageError: An address has no host, and this machine's is unknown.
    """
    from ...log import silent
    from ...registration.registration import Registration  # the lazy import of gRPC

    endpoints = _complete(updates, app.local_address, reporter)
    reporter.set_endpoints(endpoints)
    with silent("etcdnaming.addresses"):  # `complete` has warned already
        return Registration(app.client(), endpoints, on_state=on_state, **settings)


def _complete(
    updates: Iterable[Update], local_address: Callable[[], str], notifier: Notifier
) -> dict[str, Endpoint]:
    """
    Return the endpoints by key, with complete keys and addresses.

    *local_address* may have to connect to etcd.

    Raises:
        click.UsageError: An address has no host and this machine's address is unusable for others;
            or two endpoints get the same key, as :80 and this host with that port may.
    """
    endpoints: dict[str, Endpoint] = {}
    for update in updates:
        full = complete(update, local_address, notifier)
        if full.key in endpoints:
            raise click.UsageError(f"duplicate key {full.key}")
        if full.endpoint is not None:
            endpoints[full.key] = full.endpoint
    return endpoints


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
        warned = False
        while not self._closing.is_set():
            try:
                registration = self._create()
                return registration if self._start(registration, strict) else None
            except ConnectionFailedError as exc:
                if strict and isinstance(exc, TLSError):
                    raise
                if not warned:
                    self._warn(str(exc))
                warned = True
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
