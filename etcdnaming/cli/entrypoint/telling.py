"""What is said of a registration: results to the printer, all that is odd to stderr."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ...registration.event import RegistrationEvent
from ...wire import dumps
from .. import stderr
from ..output.spelling import lease_id
from ..output.state_changes import (
    RegistrationPrinter,
    StateChange,
    health_changed,
    registration_changed,
)
from .voice import Voice

__all__ = ["Telling"]

LAST_WORDS = 1.0
"""Seconds that whoever reads what we say has for the last of it."""


class Telling:
    """
    Tells each thing once, and never keeps anybody waiting. From any thread.

    *aloud*: also in words on stderr, for a format that does not show it, and where words do not
    stand between the lines of a format.
    """

    def __init__(self, printer: RegistrationPrinter, *, aloud: bool) -> None:
        self._printer, self._aloud = printer, aloud
        self._voice = Voice()
        self._is_complete = False

    def begin(self, unheard: Callable[[OSError], None]) -> None:
        """Begin; *unheard* is called, in a thread of ours, when something can't be said."""
        self._voice.begin(unheard)

    def finish(self) -> None:
        """Return when all is said, or nobody has listened for too long."""
        self._voice.finish(LAST_WORDS)

    def tell(self, event: RegistrationEvent) -> None:
        """Tell what has happened to the registration."""
        self._print(registration_changed(event))
        if words := _words(event):
            self._aside(partial(stderr.warn, words))
        elif event.kind == "regained":
            self._aside(partial(stderr.say, f"registered again after {event.seconds:.1f}s"))

    def complete(self) -> None:
        """Tell that everything is registered, if that is new."""
        if not self._is_complete:
            self._is_complete = True
            self._voice.say(self._printer.complete)

    def healthy(self) -> None:
        """Tell that the check passes now."""
        self._print(health_changed(""))

    def unhealthy(self, trouble: str) -> None:
        """Tell that the check has failed too often."""
        self._print(health_changed(trouble))
        self._aside(partial(stderr.warn, f"unhealthy: {trouble}"))

    def warn(self, text: str) -> None:
        """Tell what is odd about anything else."""
        self.tell(RegistrationEvent("error", reason=text))

    def say(self, text: str) -> None:
        """Say what a person wants to know, and a program sees anyway."""
        self._aside(partial(stderr.say, text))

    def _print(self, change: StateChange) -> None:
        self._voice.say(partial(self._printer.changed, change))

    def _aside(self, words: Callable[[], None]) -> None:
        if self._aloud:
            self._voice.say(words)


def _words(event: RegistrationEvent) -> str:
    holder = lease_id(event.holder)
    words = {
        "lost": f"lease {lease_id(event.lease)} lost: {event.reason}",
        "error": event.reason,
        "changed": f"{event.key} was changed by somebody to {_value(event)}, which stands",
        "deleted": f"{event.key} was deleted by somebody, and stays away",
        "waiting": f"{event.key} is held by lease {holder}, waiting for its end",
        "taken_over": f"{event.key} was taken over by lease {holder}",
    }
    return _registered(event) if event.kind == "registered" else words.get(event.kind, "")


def _registered(event: RegistrationEvent) -> str:
    if event.holder:
        return f"{event.key} was taken over from lease {lease_id(event.holder)}"
    return f"{event.key} is registered again: {event.reason}" if event.reason else ""


def _value(event: RegistrationEvent) -> str:
    if event.endpoint is None:
        return "a value that can't be read"
    return f"{event.endpoint.addr} {dumps(event.endpoint.metadata)}"
