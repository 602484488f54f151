"""
Run the user's command for the changes of a watch: one run at a time, none without a change.

The command has a thread of its own, so that a slow run delays neither the output nor the reports
of outages.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import NamedTuple

from ... import keys, wire
from ...model import ChangeBatch, StoredEndpoint
from .. import stderr
from ..child import start
from ..failures import CommandNotFoundError, CommandNotRunError
from ..output import json_objects as objects
from ..output.spelling import event_type, matters_to_clients, quote_go, safe_json, subject
from ..signals import PULSE

__all__ = ["CommandRunner", "Handler", "HandlerOptions", "outcome", "variables"]

SIGNAL_GRACE = 1.0
"""Seconds for the command to end after a signal that has ended the watch."""

MAX_DEBOUNCE = 10
"""The command runs after this many debounce times, even if changes keep coming."""


MAX_VARIABLE = 100_000
"""Bytes. Linux starts no program with a variable of more than 128 KiB."""


class HandlerOptions(NamedTuple):
    """Run after *debounce* seconds without a change; end the watch if a run fails."""

    debounce: float
    stops_on_error: bool


class Handler:
    """
    Runs a command for batches of changes; batches that arrive during a run share the next run.

    `_changed` guards all state.

    Args:
        give_up: Called by the handler's thread after the last run.
    """

    def __init__(
        self,
        runner: CommandRunner,
        targets: Sequence[str],
        options: HandlerOptions,
        give_up: Callable[[], None],
    ) -> None:
        self._runner, self._targets = runner, targets
        self._options, self._give_up = options, give_up
        self._changed = threading.Condition()
        self._waiting: list[ChangeBatch] = []
        self._due = self._latest_due = 0.0
        self._endpoints: dict[str, StoredEndpoint] | None = None
        self._is_ending = self._is_done = self._is_interrupted = False
        self._status = 0
        self._failure: Exception | None = None
        threading.Thread(target=self._work, name="etcdnaming-handler", daemon=True).start()

    def offer(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> None:
        """Run the command for *batch*, unless no endpoint changed; *endpoints*: those after it."""
        with self._changed:
            self._keep(batch, endpoints)
            if batch.first or any(map(matters_to_clients, batch.changes)):
                self._postpone(at_once=batch.first)
                self._waiting.append(batch)
                self._changed.notify_all()

    def finish(self) -> int:
        """
        Wait until the command has run for all batches, and return the exit code.

        Raises:
            CommandNotFoundError, CommandNotRunError: The command could not be started.
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
        Stop the command, because *signum* ends this process; the terminal sends Ctrl-C to both.

        A signal handler calls this, so the main thread may have been interrupted while it holds
        `_changed`: that lock is reentrant.
        """
        self._is_interrupted = True
        if signum != signal.SIGINT:
            self._runner.end()
        with self._changed:
            self._is_ending = True
            self._waiting.clear()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_done, SIGNAL_GRACE)
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

    def _postpone(self, *, at_once: bool) -> None:
        now = time.monotonic()
        if not self._waiting:
            self._latest_due = now if at_once else now + MAX_DEBOUNCE * self._options.debounce
        self._due = min(now + self._options.debounce, self._latest_due)

    def _work(self) -> None:
        try:
            while work := self._next():
                if self._run(*work):
                    break
        except Exception as exc:  # noqa: BLE001 - `finish` raises it in the main thread
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

    def _run(self, batches: Sequence[ChangeBatch], after: Mapping[str, StoredEndpoint]) -> bool:
        """Run the command; return whether that was the last run."""
        stops = self._options.stops_on_error
        try:
            status = self._runner.run(variables(self._targets, batches), document(batches, after))
        except (CommandNotFoundError, CommandNotRunError) as exc:
            if stops:
                raise
            stderr.warn(str(exc))
            return False
        if not status or self._is_interrupted:
            return False
        self._status = status if stops else 0
        if status != 128 + signal.SIGINT:  # a Ctrl-C is no failure, and ends this process too
            (stderr.error if stops else stderr.warn)(f"{self._runner.name}: {outcome(status)}")
        return stops


class CommandRunner:
    """
    Starts *command* again and again, with a document on its stdin.

    One thread runs it, others may end it; `_lock` guards the running process.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = command[0]
        self._command, self._environment = command, environment
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over = False

    def run(self, variables: Mapping[str, str], document: bytes) -> int:
        """
        Run the command and return its exit code, which is 128 + n if signal n ended it.

        Raises:
            CommandNotFoundError, CommandNotRunError: It could not be started.
        """
        with self._lock:
            if self._is_over:
                return 0
            environment = {**self._environment, **variables}
            process = start(self._command, environment, stdin=subprocess.PIPE)
            self._process = process
        if process.stdin:
            with process.stdin:
                _feed(process, process.stdin.fileno(), document)
        process.wait()
        with self._lock:
            self._process = None
        return 128 - process.returncode if process.returncode < 0 else process.returncode

    def end(self) -> None:
        """Terminate the running command, and start none any more."""
        with self._lock:
            self._is_over = True
            if self._process:
                with suppress(PermissionError):  # it runs as another user
                    self._process.terminate()


def outcome(status: int) -> str:
    """
    Return an exit code as text.

    >>> outcome(3), outcome(137)
    ('exit code 3', 'SIGKILL')
    """
    try:
        return signal.Signals(status - 128).name
    except ValueError:
        return f"exit code {status}"


def _feed(process: subprocess.Popen[bytes], pipe: int, document: bytes) -> None:
    """
    Write *document* to *pipe*, the stdin of *process*, which need not read it.

    When the process has ended, the rest is dropped. A background process that it has started may
    keep the pipe open for ever without reading, so a write must not block.
    """
    os.set_blocking(pipe, False)
    writable = select.poll()
    writable.register(pipe, select.POLLOUT)
    left = memoryview(document)
    while left and process.poll() is None:
        if writable.poll(PULSE * 1000):
            try:
                left = left[os.write(pipe, left) :]
            except BrokenPipeError:  # it has closed its stdin
                return


def variables(targets: Sequence[str], batches: Sequence[ChangeBatch]) -> dict[str, str]:
    """
    Return the variables for *batches*: our own, and etcdctl's, which are in Go's quotes.

    They describe the last event; for a delete, the endpoint that was deleted. A value that is too
    long for a variable is left out; it is on stdin. The target is that of the event, or all of
    *targets* with blanks between them.
    """
    last = batches[-1]
    event, key, addr, metadata, value = _last_event(last)
    values = {
        "ETCDNAMING_WATCH_EVENT": event,
        "ETCDNAMING_WATCH_KEY": key,
        "ETCDNAMING_WATCH_ADDR": addr,
        "ETCDNAMING_WATCH_METADATA": metadata,
        "ETCDNAMING_WATCH_COUNT": str(sum(len(each.changes) for each in batches)),
        "ETCDNAMING_WATCH_REVISION": str(last.revision),
        "ETCDNAMING_WATCH_TARGET": _target_of(key, targets),
        "ETCD_WATCH_REVISION": str(last.revision),
        "ETCD_WATCH_EVENT_TYPE": quote_go(event),
        "ETCD_WATCH_KEY": quote_go(key),
        "ETCD_WATCH_VALUE": quote_go(value),
    }
    encoded = {name: _in_environment(text) for name, text in values.items()}
    return {name: text for name, text in encoded.items() if len(os.fsencode(text)) <= MAX_VARIABLE}


def document(batches: Sequence[ChangeBatch], endpoints: Mapping[str, StoredEndpoint]) -> bytes:
    """Return ``{"revision":…,"events":[…],"endpoints":[…]}``; events as in ``-w json``."""
    events = ",".join(chain.from_iterable(map(objects.events, batches)))
    current = ",".join(objects.stored_endpoint(endpoints[key]) for key in sorted(endpoints))
    revision = batches[-1].revision
    text = f'{{"revision":{revision},"events":[{events}],"endpoints":[{current}]}}'
    return safe_json(text).encode() + b"\n"


def _last_event(batch: ChangeBatch) -> tuple[str, str, str, str, str]:
    """Return the event, key, address, metadata, and the stored value."""
    if batch.first:
        return "SYNCED", "", "", "", ""
    change = batch.changes[-1]
    endpoint, _ = subject(change)
    value = "" if change.endpoint is None else keys.decode(wire.encode(change.endpoint))
    metadata = safe_json(wire.dumps(endpoint.metadata))
    return event_type(change), change.key, endpoint.addr, metadata, value


def _target_of(key: str, targets: Sequence[str]) -> str:
    found = [each for each in targets if key.startswith(f"{each}/")]
    return " ".join(found or targets)


def _in_environment(text: str) -> str:
    """Return *text* so that its variable is UTF-8 in any locale, and has no zero byte."""
    return os.fsdecode(keys.encode(text.replace("\0", r"\x00")))
