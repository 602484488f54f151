"""Consume a watch as a program would, and check that its changes are consistent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from itertools import groupby
from types import MappingProxyType, TracebackType

from etcdnaming.endpoints.manager import EndpointManager
from etcdnaming.errors import ClosedError, EtcdnamingError
from etcdnaming.etcd import Client
from etcdnaming.model import Change, ChangeBatch, Endpoint, InvalidValue, Operation, WatchState

from .etcdctl import Etcdctl
from .waiting import AT_ONCE, TIMEOUT

__all__ = ["Watcher", "brief", "put", "stored"]


def stored(addr: str) -> str:
    """Return the stored value of an endpoint at *addr*."""
    return f'{{"Op":0,"Addr":"{addr}","Metadata":null}}'


def put(etcd: Etcdctl, **addresses: str) -> None:
    """Store endpoints: ``e1="1"`` is the address 1 at the key svc/e1."""
    for name, addr in addresses.items():
        etcd.put(f"svc/{name}", stored(addr))


def brief(change: Change) -> tuple[str, str, str]:
    """Return a change as ``("ADD", key, addr)``; for a delete, with the removed address."""
    if change.endpoint is None:
        assert change.previous
        return change.op.name, change.key, change.previous.endpoint.addr
    return change.op.name, change.key, change.endpoint.addr


class Watcher:
    """
    A thread that receives the batches of *target*, and replays them.

    Args:
        revision: The revision at which the watch begins.

        held: The endpoints that existed before that, named as for `put`.
    """

    def __init__(
        self,
        client: Client,
        *,
        target: str = "svc",
        revision: int = 0,
        held: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.batches: list[ChangeBatch] = []
        self.states: list[tuple[float, WatchState]] = []
        self.replayed = _endpoints(held)
        self.count = 0
        self.error: EtcdnamingError | AssertionError | None = None
        self.ended = threading.Event()
        self._revision = 0
        self._reported: set[tuple[str, int]] = set()
        self._changed = threading.Condition()
        self.watch = EndpointManager(client, target).watch(
            revision=revision, on_state=self._note_state
        )
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    @property
    def changes(self) -> list[Change]:
        """All changes after the first set."""
        return [each for batch in self.batches if not batch.first for each in batch.changes]

    @property
    def reported(self) -> list[tuple[str, str, str]]:
        """The same changes, as returned by `brief`."""
        return [brief(change) for change in self.changes]

    @property
    def invalid(self) -> list[InvalidValue]:
        """All values that could not be decoded."""
        return [each for batch in self.batches for each in batch.invalid]

    @property
    def connections(self) -> list[bool]:
        """All changes between connected and not, without those of the reason."""
        return [connected for connected, _ in groupby(state.connected for _, state in self.states)]

    @property
    def connected(self) -> bool:
        """The last state."""
        return bool(self.states) and self.states[-1][1].connected

    def wait_until(
        self, predicate: Callable[[Watcher], object], timeout: float = TIMEOUT
    ) -> Watcher:
        """Return as soon as *predicate* holds for this watcher; fail after *timeout* seconds."""
        with self._changed:
            in_time = self._changed.wait_for(lambda: self.error or predicate(self), timeout)
        if self.error and not predicate(self):
            raise self.error
        assert in_time, f"not so in {timeout:g} s: {self}"
        return self

    def wait_until_connected(self, timeout: float = TIMEOUT) -> Watcher:
        """Return when changes are delivered."""
        return self.wait_until(lambda watcher: watcher.connected, timeout)

    def wait_for_error(self, timeout: float = TIMEOUT) -> EtcdnamingError | AssertionError:
        """Return the error that ended the watch."""
        assert self.ended.wait(timeout), f"it goes on: {self}"
        assert self.error, f"it ended without an error: {self}"
        return self.error

    def wait_for_addresses(self, timeout: float = TIMEOUT, /, **addresses: str) -> Watcher:
        """Return when these are the endpoints, named as for `put`."""
        wanted = _endpoints(addresses)
        return self.wait_until(lambda watcher: watcher.replayed == wanted, timeout)

    def close(self, timeout: float = AT_ONCE) -> None:
        """Close the watch from this thread, and wait for the end of the other thread."""
        self.watch.close()
        self._thread.join(timeout)
        assert not self._thread.is_alive(), f"it did not end in {timeout:g} s"

    def __enter__(self) -> Watcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if isinstance(self.error, AssertionError) and exc is None:
            raise self.error

    def __str__(self) -> str:
        states = [state for _, state in self.states[-4:]]
        return f"{states} {len(self.batches)} batches, {self.reported[-5:]} {self.error!r}"

    def _take(self) -> None:
        try:
            for batch in self.watch:
                with self._changed:
                    self._replay(batch)
                    self.batches.append(batch)
                    self.count += 0 if batch.first else len(batch.changes)
                    self._changed.notify_all()
        except ClosedError:
            raise
        except (EtcdnamingError, AssertionError) as exc:
            with self._changed:
                self.error = exc
                self._changed.notify_all()
        self.ended.set()

    def _note_state(self, state: WatchState) -> None:
        assert threading.current_thread() is self._thread
        with self._changed:
            self.states.append((time.monotonic(), state))
            self._changed.notify_all()

    def _replay(self, batch: ChangeBatch) -> None:
        first = batch.changes[0].revision if batch.changes else batch.revision
        if batch.resync:
            self._reported.clear()  # maybe a new history, whose revisions begin again
        else:
            assert first >= self._revision, f"back in time: {batch}"
        revisions = [each.revision for each in batch.changes]
        assert revisions == sorted(revisions), f"not in order: {batch}"
        self._revision = batch.revision
        for change in batch.changes:
            assert (change.key, change.revision) not in self._reported, f"twice: {change}"
            self._reported.add((change.key, change.revision))
            held = self.replayed.get(change.key)
            previous = change.previous.endpoint if change.previous else None
            assert previous == held, f"it was {held}: {change}"
            if change.op is Operation.DELETE:
                assert held, f"there was none: {change}"
                del self.replayed[change.key]
            else:
                assert change.endpoint is not None
                self.replayed[change.key] = change.endpoint


def _endpoints(addresses: Mapping[str, str]) -> dict[str, Endpoint]:
    return {f"svc/{name}": Endpoint(addr) for name, addr in addresses.items()}
