"""Print the state of a registration: changes with the printer, warnings and notes on stderr."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from queue import SimpleQueue

from ...model import Endpoint
from ...registration.event import RegistrationEvent, is_warning
from .. import stderr
from ..advice import with_flags
from ..output.state_changes import (
    RegistrationPrinter,
    StateChange,
    health_changed,
    registration_changed,
)
from .loop import start_thread

__all__ = ["Reporter"]

FLUSH_TIMEOUT = 1.0
"""Seconds to write what is queued before the process exits."""

MAX_QUEUED = 100_000
"""Writes that wait while the reader is stuck, before further ones are dropped."""


class _AsyncWriter:
    """
    Call functions that write, in order, in a thread of its own.

    The reader of stdout or stderr may be slow, stuck or gone. A write that blocked the loop would
    block signals, the check and the shutdown too.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def start(self, failed: Callable[[OSError], None]) -> None:
        """Start the thread; *failed* is called in it for each write that fails."""
        start_thread("writer", partial(self._run, failed))

    def put(self, write: Callable[[], None]) -> None:
        """Queue the call of *write*."""
        if self._queue.qsize() < MAX_QUEUED:
            self._queue.put(write)

    def flush(self, timeout: float) -> None:
        """Return when everything queued is written, at the latest after *timeout* seconds."""
        written = threading.Event()
        self._queue.put(written.set)
        written.wait(timeout)

    def _run(self, failed: Callable[[OSError], None]) -> None:
        while True:
            try:
                self._queue.get()()
            except OSError as exc:
                failed(exc)


class Reporter:
    """
    Print each change once, without blocking the caller. Any thread may call it.

    With *verbose*, stderr also gets what people should know as sentences. That is only where the
    sentences do not end up between the lines of a format. With *states*, it also gets each new
    state of each endpoint, with key and address. That is for formats that do not show all changes.

    `_addrs` has the addresses by key. Before the registration exists, these are the keys and
    addresses that the user gave, *addrs*, which may be incomplete.
    """

    def __init__(
        self,
        printer: RegistrationPrinter,
        addrs: Mapping[str, str],
        *,
        verbose: bool,
        states: bool,
    ) -> None:
        self._printer, self._verbose, self._states = printer, verbose, states
        self._addrs = dict(addrs)
        self._writer = _AsyncWriter()
        self._is_complete = False

    def start(self, failed: Callable[[OSError], None]) -> None:
        """Start writing; *failed* is called in the writer's thread for each write that fails."""
        self._writer.start(failed)

    def finish(self) -> None:
        """Return when everything is written, or the reader took too long."""
        self._writer.flush(FLUSH_TIMEOUT)

    def set_endpoints(self, endpoints: Mapping[str, Endpoint]) -> None:
        """Set the complete keys and addresses, which the lines about all endpoints contain."""
        self._addrs = {key: endpoint.addr for key, endpoint in endpoints.items()}

    def report(self, event: RegistrationEvent) -> None:
        """Print a change of the registration."""
        self._print(registration_changed(event))
        if is_warning(event):
            self._print_sentence(partial(stderr.warn, _sentence(event)))
        elif event.kind == "regained":
            self.say(str(event))
        if event.endpoint is not None and event.key in self._addrs:
            self._addrs[event.key] = event.endpoint.addr
        if event.kind == "regained":
            self._print_states("regained", self._addrs, f" after {event.seconds:.1f}s")
        elif event.kind == "lost":
            self._print_states("lost", self._addrs, f": {with_flags(event.reason)}")
        elif state := _state(event):
            self._print_states(state, [event.key])

    def report_complete(self) -> None:
        """Print, the first time, that all endpoints are registered."""
        if not self._is_complete:
            self._is_complete = True
            self._writer.put(self._printer.complete)

    def report_healthy(self) -> None:
        """Print that the check passes."""
        self._print(health_changed(""))
        self._print_states("healthy", self._addrs)

    def report_unhealthy(self, reason: str) -> None:
        """Print that the check has failed too often."""
        self._print(health_changed(reason))
        self._print_sentence(partial(stderr.warn, f"unhealthy: {reason}"))
        self._print_states("unhealthy", self._addrs, f": {reason}")

    def report_draining(self, seconds: float) -> None:
        """Print that the command gets its signal in *seconds*, after the deregistration."""
        self._print_states("draining", self._addrs, f" for {seconds:g}s")

    def warn(self, text: str) -> None:
        """Print a warning, in every format."""
        self.report(RegistrationEvent("error", reason=text))

    def say(self, text: str) -> None:
        """Print a note for people."""
        self._print_sentence(partial(stderr.say, text))

    def _print(self, change: StateChange) -> None:
        self._writer.put(partial(self._printer.changed, change))

    def _print_states(self, state: str, keys: Iterable[str], detail: str = "") -> None:
        if self._states:
            for key in keys:
                line = f"{state} {key} {self._addrs.get(key, '')}{detail}"
                self._writer.put(partial(stderr.say, line))

    def _print_sentence(self, write: Callable[[], None]) -> None:
        if self._verbose:
            self._writer.put(write)


def _state(event: RegistrationEvent) -> str:
    """Return the new state of the endpoint of *event*; empty if the state is still the same."""
    if event.kind in {"withdrawn", "left"}:
        return "deregistered"
    if event.kind not in {"registered", "changed"} or event.endpoint is None:
        return ""
    metadata = event.endpoint.metadata
    is_draining = isinstance(metadata, dict) and metadata.get("draining") is True
    return "draining" if is_draining else "registered"


def _sentence(event: RegistrationEvent) -> str:
    # Only in these is the text after the key the library's own.
    return with_flags(str(event)) if event.kind in {"lost", "error"} else str(event)
