"""What is reported of a registration: the states of its endpoints, messages, and its status."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from queue import SimpleQueue
from typing import TextIO

from ...model import Endpoint
from ...registration.status import RegistrationEvent, edit, is_warning
from .. import stderr
from ..failures import with_flags
from ..output.printers import Printer, StateChange
from ..output.spelling import lease_id
from ..output.streams import blaming_stdout
from .loop import start_thread
from .registration_thread import RegistrationThread

__all__ = ["EndpointStates", "Reporter", "Status"]

FLUSH_TIMEOUT = 1.0
"""Seconds to write what is queued before the process exits."""

MAX_QUEUED = 100_000
"""Writes that wait while the reader is stuck, before further ones are dropped."""


class EndpointStates:
    """
    Which endpoints are registered, as the events of the registration say.

    Before the registration exists, *addrs* has the keys and addresses that the user gave, which may
    be incomplete. Events are applied by one thread; any thread may read what is registered.
    """

    def __init__(self, addrs: Mapping[str, str]) -> None:
        self.addrs: Mapping[str, str] = addrs
        """The addresses of all endpoints, by key."""
        self.registered: AbstractSet[str] = frozenset()
        """The keys that are in etcd, as far as known."""
        self._lost: AbstractSet[str] = frozenset()

    def apply(self, event: RegistrationEvent) -> Iterable[str]:
        """Return a line for each endpoint that gets a new state by *event*."""
        if event.endpoint is not None and event.key in self.addrs:
            self.addrs = {**self.addrs, event.key: event.endpoint.addr}
        if event.kind == "lost":
            lost, self._lost = self.registered, self.registered
            self.registered = frozenset()
            return self.lines("lost", lost, f": {_lease(event)}: {with_flags(event.reason)}")
        if event.kind == "regained":
            regained, self._lost = self._lost, frozenset()
            self.registered |= regained
            return self.lines("regained", regained, f" after {event.seconds:.1f}s")
        return self._apply_to_key(event)

    def lines(self, state: str, keys: Iterable[str], detail: str = "") -> list[str]:
        """Return a line for each of *keys*, in the order of the registration."""
        chosen = {*keys}
        return [
            f"{state} {key} {addr}{detail}" for key, addr in self.addrs.items() if key in chosen
        ]

    def _apply_to_key(self, event: RegistrationEvent) -> Iterable[str]:
        if event.kind in {"withdrawn", "left"}:
            self._release(event.key)
            return self.lines("deregistered", [event.key])
        if event.kind in {"taken_over", "deleted", "waiting", "conflict"}:
            self._release(event.key)
        elif event.kind == "registered" and event.key not in self._lost:
            self.registered |= {event.key}
            return self.lines(_state_of(event.endpoint), [event.key], _why_registered(event))
        elif event.kind == "changed" and event.endpoint is not None:
            return self.lines(_state_of(event.endpoint), [event.key], f": {edit(event)}")
        return ()

    def _release(self, key: str) -> None:
        self.registered -= {key}
        self._lost -= {key}


class Status:
    """
    What has happened since the start, for ``--metrics``.

    The loop writes it, and other threads read it: its collections are replaced, never changed.
    *states* has the states of the endpoints; the reporter applies the events to it.
    """

    def __init__(
        self, states: EndpointStates, registration: RegistrationThread, *, has_check: bool
    ) -> None:
        self.states, self.registration, self.has_check = states, registration, has_check
        self.losses = self.recoveries = 0
        self.writes: Counter[str] = Counter()
        """Times that an endpoint was written, by key."""
        self.checks: Counter[str] = Counter()
        """Runs of the check that have ``passed`` and ``failed``."""
        self.is_healthy = self.is_stopping = self.is_command_running = False
        self._reason = "waiting for etcd"
        self._check_reason = "no result yet"

    @property
    def fault(self) -> str:
        """Why clients do not find all endpoints; empty if they do."""
        if self.is_stopping:
            return "stopping"
        if self.has_check and not self.is_healthy:
            return f"the check does not pass: {self._check_reason}"
        return "" if self.registration.is_registered else f"not registered: {self._reason}"

    def on_event(self, event: RegistrationEvent) -> None:
        """Note a change of the registration."""
        self.losses += event.kind == "lost"
        self.recoveries += event.kind == "regained"
        if event.kind == "registered":
            self.writes = self.writes + Counter([event.key])
        elif event.kind in {"withdrawn", "granted"}:
            self._reason = "waiting for etcd"
        else:
            self._reason = _sentence(event) or self._reason

    def on_check(self, reason: str) -> None:
        """Note the result of a run of the check; *reason* is empty if it has passed."""
        self.checks = self.checks + Counter(["failed" if reason else "passed"])
        self._check_reason = reason


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

    *printer* makes the lines of the output format, which are written to *stream* (if any).

    With *verbose*, stderr also gets what people should know, in one line for each event. That is
    only where the lines do not end up between those of a format. With *with_states*, for formats
    that do not show all changes, that is the new state of each endpoint, with key and address; an
    event that changes no state of an endpoint is a sentence.
    """

    def __init__(
        self,
        printer: Printer,
        stream: TextIO | None,
        states: EndpointStates,
        *,
        verbose: bool,
        with_states: bool,
    ) -> None:
        self._printer, self._stream, self.states = printer, stream, states
        self._verbose, self._with_states = verbose, with_states
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
        self.states.addrs = {key: endpoint.addr for key, endpoint in endpoints.items()}

    def report(self, event: RegistrationEvent) -> None:
        """Print a change of the registration."""
        self._print(StateChange(event.kind, time.time(), event))
        lines = self.states.apply(event)
        if self._with_states and lines:
            self._print_lines(lines)
        elif text := _sentence(event):
            self._print_line(partial(stderr.warn, text))
        elif event.kind == "regained":
            self.say(str(event))

    def report_complete(self) -> None:
        """Print, the first time, that all endpoints are registered."""
        if not self._is_complete:
            self._is_complete = True
            self._writer.put(lambda: self._write(self._printer.registered_lines()))

    def report_healthy(self) -> None:
        """Print that the check passes."""
        self._print(_change("healthy"))
        if self._with_states:
            self._print_lines(self._all("healthy"))

    def report_unhealthy(self, reason: str) -> None:
        """Print that the check has failed too often."""
        self._print(_change("unhealthy", reason))
        if self._with_states:
            self._print_lines(self._all("unhealthy", f": {reason}"))
        else:
            self._print_line(partial(stderr.warn, f"unhealthy: {reason}"))

    def report_draining(self, seconds: float) -> None:
        """Print that the command gets its signal in *seconds*, after the deregistration."""
        if self._with_states:
            self._print_lines(self._all("draining", f" for {seconds:g}s"))

    def report_metrics(self, url: str) -> None:
        """Print where the metrics are served."""
        self._print(_change("metrics", url))
        if self._with_states:
            self.say(f"metrics on {url}")

    def warn(self, text: str) -> None:
        """Print a warning, in every format."""
        self.report(RegistrationEvent("error", reason=text))

    def say(self, text: str) -> None:
        """Print a note for people."""
        self._print_line(partial(stderr.say, text))

    def _all(self, state: str, detail: str = "") -> Iterable[str]:
        return self.states.lines(state, self.states.addrs, detail)

    def _print(self, change: StateChange) -> None:
        self._writer.put(lambda: self._write(self._printer.state_lines(change)))

    def _write(self, lines: Iterable[str]) -> None:
        """
        Write *lines* at once, and always as UTF-8.

        Raises:
            OutputError, BrokenPipeError: The stream can't be written.
        """
        if self._stream is None:
            return
        # Not through the stream's buffer: its lock would block other threads while the reader is
        # stuck.
        rest = "".join(lines).encode()
        with blaming_stdout():
            while rest:
                rest = rest[os.write(self._stream.fileno(), rest) :]

    def _print_lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.say(line)

    def _print_line(self, write: Callable[[], None]) -> None:
        if self._verbose:
            self._writer.put(write)


def _change(kind: str, reason: str = "") -> StateChange:
    """Return a state change that is no event of the registration."""
    return StateChange(kind, time.time(), RegistrationEvent("error", reason=reason))


def _sentence(event: RegistrationEvent) -> str:
    """Return *event* as a sentence; empty if it is no news for people."""
    if event.kind == "conflict" or not is_warning(event):  # a conflict ends the command
        return ""
    # Only the reason is the library's own text.
    return str(event._replace(reason=with_flags(event.reason)))


def _state_of(endpoint: Endpoint | None) -> str:
    metadata = endpoint.metadata if endpoint else None
    is_draining = isinstance(metadata, dict) and metadata.get("draining") is True
    return "draining" if is_draining else "registered"


def _why_registered(event: RegistrationEvent) -> str:
    if event.holder:
        return f": taken over from lease {lease_id(event.holder)}"
    return f" again: {event.reason}" if event.reason else ""


def _lease(event: RegistrationEvent) -> str:
    return f"lease {lease_id(event.lease)}"
