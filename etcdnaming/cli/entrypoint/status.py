"""The status of ``lease-register`` as a whole, for ``--metrics``."""

from __future__ import annotations

from collections import Counter

from ...registration.status import RegistrationEvent
from .registration_thread import RegistrationThread
from .states import EndpointStates, sentence

__all__ = ["Status"]


class Status:
    """
    What has happened since the start.

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
            self._reason = sentence(event) or self._reason

    def on_check(self, reason: str) -> None:
        """Note the result of a run of the check; *reason* is empty if it has passed."""
        self.checks = self.checks + Counter(["failed" if reason else "passed"])
        self._check_reason = reason
