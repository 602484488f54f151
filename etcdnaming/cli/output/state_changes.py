"""State changes of ``lease-register``, and the printer that writes them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, TextIO

from ...registration.event import RegistrationEvent
from .stdout import blaming_stdout

if TYPE_CHECKING:
    from .printers import Printer

__all__ = [
    "RegistrationPrinter",
    "StateChange",
    "health_changed",
    "metrics_served",
    "registration_changed",
]


class StateChange(NamedTuple):
    """
    A change of the registration or of the service's health, *at* seconds since the epoch.

    *type* is the kind of *event*, or ``healthy``, ``unhealthy`` or ``metrics``; for these only the
    event's reason is set.
    """

    type: str
    at: float
    event: RegistrationEvent


def registration_changed(event: RegistrationEvent) -> StateChange:
    """Return the state change for *event*, with the current time."""
    return StateChange(event.kind, time.time(), event)


def health_changed(reason: str) -> StateChange:
    """Return the state change for a service that is healthy, or unhealthy for a *reason*."""
    kind = "unhealthy" if reason else "healthy"
    return StateChange(kind, time.time(), RegistrationEvent("error", reason=reason))


def metrics_served(url: str) -> StateChange:
    """Return the state change for metrics that are served at *url*."""
    return StateChange("metrics", time.time(), RegistrationEvent("error", reason=url))


class RegistrationPrinter:
    """Write state changes to *stream* (if any) immediately, always as UTF-8."""

    def __init__(self, printer: Printer, stream: TextIO | None) -> None:
        self._printer, self._stream = printer, stream

    def changed(self, change: StateChange) -> None:
        """
        Print *change*.

        Raises:
            OutputError, BrokenPipeError: The stream can't be written.
        """
        self._write(self._printer.state_lines(change))

    def complete(self) -> None:
        """Print that all endpoints are registered for the first time."""
        self._write(self._printer.registered_lines())

    def _write(self, lines: Iterable[str]) -> None:
        if self._stream is None:
            return
        # Not through the stream's buffer: its lock would block other threads while the reader is
        # stuck.
        rest = "".join(lines).encode()
        with blaming_stdout():
            while rest:
                rest = rest[os.write(self._stream.fileno(), rest) :]
