"""Print the state of a registration: changes with the printer, warnings and notes on stderr."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from queue import SimpleQueue
from typing import TextIO

from ...model import Endpoint
from ...registration.status import RegistrationEvent
from .. import stderr
from ..output.printers import Printer, StateChange
from ..output.stdout import blaming_stdout
from .loop import start_thread
from .states import EndpointStates, sentence

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
        elif text := sentence(event):
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
