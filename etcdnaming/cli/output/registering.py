"""What ``lease-register`` prints: a line, or a block of them, for each change of state."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import NamedTuple, Protocol, TextIO

from ...registration.event import RegistrationEvent
from .stdout import blaming_stdout

__all__ = [
    "Lines",
    "RegistrationPrinter",
    "StateChange",
    "health_changed",
    "registration_changed",
    "registration_printer",
]


class StateChange(NamedTuple):
    """
    A change of state, *at* seconds since the epoch: of the registration, or of the service.

    *type* is the kind of the *event*, or ``healthy`` or ``unhealthy``, of which only its reason is
    told.
    """

    type: str
    at: float
    event: RegistrationEvent


def registration_changed(event: RegistrationEvent) -> StateChange:
    """Return what is to be printed of *event*, which happens now."""
    return StateChange(event.kind, time.time(), event)


def health_changed(trouble: str) -> StateChange:
    """Return what is to be printed of a service that is well again, or has this *trouble* now."""
    kind = "unhealthy" if trouble else "healthy"
    return StateChange(kind, time.time(), RegistrationEvent("error", reason=trouble))


class Lines(Protocol):
    """One format."""

    def changed(self, change: StateChange) -> Iterable[str]:
        """Return what there is to say of *change*."""

    def complete(self) -> Iterable[str]:
        """Return what there is to say when everything is registered for the first time."""


class RegistrationPrinter:
    """Writes *lines* to *stream*, if there is one, at once, as UTF-8 whatever the locale says."""

    def __init__(self, lines: Lines, stream: TextIO | None) -> None:
        self._lines, self._stream = lines, stream

    def changed(self, change: StateChange) -> None:
        """
        Print *change*.

        Raises:
            OutputError, BrokenPipeError: It can't be written.
        """
        self._write(self._lines.changed(change))

    def complete(self) -> None:
        """Print that everything is registered for the first time."""
        self._write(self._lines.complete())

    def _write(self, lines: Iterable[str]) -> None:
        if self._stream is None:
            return
        # Not into the stream's buffer, which nobody else could flush while the reader is stuck.
        rest = "".join(lines).encode()
        with blaming_stdout():
            while rest:
                rest = rest[os.write(self._stream.fileno(), rest) :]


def registration_printer(name: str, stream: TextIO | None) -> RegistrationPrinter:
    """Return what prints in the format *name*, one of `FORMATS`; only that one is loaded."""
    return RegistrationPrinter(_lines(name, stream), stream)


def _lines(name: str, stream: TextIO | None) -> Lines:
    if name == "fields":
        from .registering_fields import FieldsLines

        return FieldsLines()
    if name == "json":
        from .registering_jsonlines import JSONLines

        return JSONLines()
    if name == "simple":
        from .registering_simple import SimpleLines

        return SimpleLines()
    if name == "table":
        from .registering_table import TableLines

        return TableLines(stream)
    raise ValueError(f"there is no format {name!r}")
