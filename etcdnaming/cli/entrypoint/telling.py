"""What is said of a registration: results to the printer, all that is odd to stderr."""

from __future__ import annotations

import time

from ...registration.event import RegistrationEvent
from ...wire import dumps
from .. import stderr
from ..output.registering import RegistrationPrinter, StateChange, state_change
from ..output.spelling import lease_id

__all__ = ["Telling"]


class Telling:
    """
    Tells each thing once.

    *aloud*: also in words on stderr, for a format that does not show it.
    """

    def __init__(self, printer: RegistrationPrinter, *, aloud: bool) -> None:
        self._printer, self._aloud = printer, aloud
        self._leases: dict[str, int] = {}
        self._is_lost = self._is_complete = False

    def tell(self, event: RegistrationEvent) -> None:
        """Tell what has happened to the registration."""
        self._printer.changed(state_change(event))
        if words := self._words(event):
            self._warn(words)
        if event.kind == "regained":
            self._say(f"registered again after {event.seconds:.1f}s")
        if event.kind == "registered":
            self._leases[event.key] = event.lease
        elif event.kind in {"withdrawn", "taken_over", "deleted"}:
            self._leases.pop(event.key, None)
        if event.kind in {"lost", "regained"}:
            self._is_lost = event.kind == "lost"

    def complete(self) -> None:
        """Tell that everything is registered, if that is new."""
        if not self._is_complete:
            self._is_complete = True
            self._printer.complete()

    def unreached(self, exc: Exception) -> None:
        """Tell that etcd is not there yet."""
        self.tell(RegistrationEvent("error", reason=str(exc)))

    def healthy(self) -> None:
        """Tell that the check passes now."""
        self._printer.changed(StateChange("healthy", time.time()))

    def unhealthy(self, trouble: str) -> None:
        """Tell that the check has failed too often."""
        self._printer.changed(StateChange("unhealthy", time.time(), reason=trouble))
        self._warn(f"unhealthy: {trouble}")

    def unconfirmed(self) -> None:
        """Tell that we are gone, and etcd has not said that our keys are."""
        why = "etcd has not confirmed the end: what is left of it ends with its lease"
        self.tell(RegistrationEvent("error", reason=why))

    def _words(self, event: RegistrationEvent) -> str:
        holder = lease_id(event.holder)
        words = {
            "lost": f"lease {lease_id(event.lease)} lost: {event.reason}",
            "error": event.reason,
            "changed": f"{event.key} was changed by somebody to {_value(event)}, which stands",
            "deleted": f"{event.key} was deleted by somebody, and stays away",
            "waiting": f"{event.key} is held by lease {holder}, waiting for its end",
            "taken_over": f"{event.key} was taken over by lease {holder}",
        }
        return self._registered(event) if event.kind == "registered" else words.get(event.kind, "")

    def _registered(self, event: RegistrationEvent) -> str:
        if event.holder:
            return f"{event.key} was taken over from lease {lease_id(event.holder)}"
        if self._leases.get(event.key) == event.lease and not self._is_lost:
            return f"{event.key} was deleted or replaced by somebody, and is registered again"
        return ""

    def _warn(self, text: str) -> None:
        if self._aloud:
            stderr.warn(text)

    def _say(self, text: str) -> None:
        if self._aloud:
            stderr.say(text)


def _value(event: RegistrationEvent) -> str:
    if event.endpoint is None:
        return "a value that can't be read"
    return f"{event.endpoint.addr} {dumps(event.endpoint.metadata)}"
