"""
The command that ``watch`` runs for what has changed: one at a time, and never for nothing.

It has a thread of its own, so that neither lines nor outages wait until a slow command is done.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ...model import ChangeBatch, StoredEndpoint
from .. import stderr
from ..failures import CommandNotFoundError, CommandNotRunError
from ..output.changes import matters_to_clients
from ..signals import PULSE
from .handler_input import document, variables
from .runner import Runner, outcome

__all__ = ["Handler", "Policy"]

GRACE = 1.0
"""Seconds a command has to end, after a signal that has ended the watch."""

PATIENCE = 10
"""Times the debouncing after which a command runs, although the changes don't pause."""


class Policy(NamedTuple):
    """When to run: after *debounce* seconds without a change. And whether a failure ends it all."""

    debounce: float
    stops_on_error: bool


class Handler:
    """
    Runs a command for batches of changes; those that come while it runs are one for the next run.

    All state belongs to `_changed`.

    Args:
        give_up: Called when nothing is run any more, by our thread.
    """

    def __init__(
        self, runner: Runner, target: str, policy: Policy, give_up: Callable[[], None]
    ) -> None:
        self._runner, self._target = runner, target
        self._policy, self._give_up = policy, give_up
        self._changed = threading.Condition()
        self._waiting: list[ChangeBatch] = []
        self._due = self._latest_due = 0.0
        self._endpoints: dict[str, StoredEndpoint] | None = None
        self._is_ending = self._is_done = self._is_interrupted = False
        self._status = 0
        self._failure: Exception | None = None
        threading.Thread(target=self._work, name="etcdnaming-handler", daemon=True).start()

    def offer(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> None:
        """Run the command for *batch*, which left *endpoints*, unless it brings no news."""
        with self._changed:
            self._keep(batch, endpoints)
            if batch.first or any(map(matters_to_clients, batch.changes)):
                self._put_off(at_once=batch.first)
                self._waiting.append(batch)
                self._changed.notify_all()

    def finish(self) -> int:
        """
        Return the exit code, once the command has run for all there was.

        Raises:
            CommandNotFoundError, CommandNotRunError: It could not be run.
        """
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
            while not self._changed.wait_for(lambda: self._is_done, PULSE):
                pass
        if self._failure:
            raise self._failure
        return self._status

    def interrupt(self, signum: int) -> None:
        """
        End what runs, for *signum* ends us; a Ctrl-C has come from the terminal to both.

        Called by its handler, so the main thread may stand anywhere: `_changed` can be taken twice.
        """
        self._is_interrupted = True
        if signum != signal.SIGINT:
            self._runner.end()
        with self._changed:
            self._is_ending = True
            self._waiting.clear()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_done, GRACE)
        self._runner.end()

    def __enter__(self) -> Handler:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def _keep(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> None:
        if self._endpoints is None:
            self._endpoints = dict(endpoints)
        for key in {change.key for change in batch.changes}:
            if key in endpoints:
                self._endpoints[key] = endpoints[key]
            else:
                self._endpoints.pop(key, None)

    def _put_off(self, *, at_once: bool) -> None:
        now = time.monotonic()
        if not self._waiting:
            self._latest_due = now if at_once else now + PATIENCE * self._policy.debounce
        self._due = min(now + self._policy.debounce, self._latest_due)

    def _work(self) -> None:
        try:
            while told := self._next():
                if self._run(*told):
                    break
        except Exception as exc:  # noqa: BLE001 - is raised again where it is understood
            self._failure = exc
        with self._changed:
            self._is_done = True
            self._changed.notify_all()
        self._give_up()

    def _next(self) -> tuple[Sequence[ChangeBatch], Mapping[str, StoredEndpoint]] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_ending)
            while not self._is_ending and (left := self._due - time.monotonic()) > 0:
                self._changed.wait(left)
            waiting, self._waiting = self._waiting, []
            return (waiting, dict(self._endpoints or {})) if waiting else None

    def _run(self, batches: Sequence[ChangeBatch], there: Mapping[str, StoredEndpoint]) -> bool:
        """Run it, and return whether that was for the last time."""
        stops = self._policy.stops_on_error
        try:
            status = self._runner.run(variables(self._target, batches), document(batches, there))
        except (CommandNotFoundError, CommandNotRunError) as exc:
            if stops:
                raise
            stderr.warn(str(exc))
            return False
        if not status or self._is_interrupted:
            return False
        self._status = status if stops else 0
        if status != 128 + signal.SIGINT:  # a Ctrl-C, which is no failure, and ends us too
            (stderr.error if stops else stderr.warn)(f"{self._runner.name}: {outcome(status)}")
        return stops
