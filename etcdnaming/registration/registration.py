"""Keep endpoints registered for as long as a block, or a process, runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import TypeAlias, get_args

from .. import keys, wire
from ..addresses import warn_of_address
from ..errors import ClosedError, InheritedError, InvalidSettingError
from ..etcd import Client
from ..etcd.deadline import Deadline
from ..model import Endpoint
from .board import Board
from .event import RegistrationEvent
from .registrant import Registrant
from .rules import OnConflict, OnDelete, Policy
from .slots import Entry

__all__ = ["Registration"]

MAX_TTL = 9_000_000_000
"""Seconds. etcd grants no more."""

CLOSE = 2.0
"""Seconds that closing takes at most."""

TELL = 1.0
"""Seconds that callbacks may take before those who wait go on without them."""

NOT_OPEN = "the registration is not open"

Callback: TypeAlias = Callable[[RegistrationEvent], None]


class Registration:
    """
    Endpoints that are in etcd while this is open, all on one lease, and gone soon after.

        >>> with Registration(client, {"svc/e1": Endpoint("10.0.0.1:80")}):  # doctest: +SKIP
        ...     serve()

    It never gives up: whatever etcd goes through, the endpoints are registered again when it is
    back, and are put back when somebody deletes them. What somebody else registers under the same
    key is his, and what somebody writes to the key without taking it off its lease is meant.

    Any thread may call it. The work is done by threads that the registrations of a client share;
    one of them makes the calls back, one after another. Close it before its client. A forked child
    can't use what its parent registered; it makes a registration of its own, on the same client.

    Args:
        endpoints: By their keys. An address that gRPC clients can't dial is registered, and
            logged as a warning.

        ttl: Seconds until etcd removes them when it does not hear of us any more.

        on_conflict: What to do when a key hangs on somebody else's lease at the beginning:
            ``takeover``; ``wait`` until he is gone, then and later; or ``fail``.

        on_delete: What to do when somebody deletes a key: ``restore`` it, or ``leave`` it.

        on_lost, on_regained: Called when the endpoints may be gone, and when they are back.

        on_state: Called with everything that happens, those two included.

    Raises:
        InvalidSettingError, InvalidTargetError, InvalidEndpointError: Nothing was sent.
    """

    def __init__(  # noqa: PLR0913 - many settings, each with a name
        self,
        client: Client,
        endpoints: Mapping[str, Endpoint],
        *,
        ttl: int = 10,
        on_conflict: OnConflict = "takeover",
        on_delete: OnDelete = "restore",
        on_lost: Callback | None = None,
        on_regained: Callback | None = None,
        on_state: Callback | None = None,
    ) -> None:
        if not 1 <= ttl <= MAX_TTL:
            raise InvalidSettingError(f"a TTL is from 1 to {MAX_TTL} seconds, not {ttl}")
        _check("on_conflict", on_conflict, get_args(OnConflict))
        _check("on_delete", on_delete, get_args(OnDelete))
        self._client = client
        self._policy = Policy(ttl, on_conflict, on_delete)
        self._entries = _entries(endpoints)
        self._callbacks = {"": on_state, "lost": on_lost, "regained": on_regained}
        self._board = Board()
        self._registrant: Registrant | None = None

    def start(self, *, wait: bool = True, strict: bool | None = None) -> None:
        """
        Begin.

        Args:
            wait: Until all endpoints are registered, however long etcd takes to be there.

            strict: As long as they were not, what does not heal by waiting is the end. Else it is
                tried again, for ever. By default as *wait*.

        Raises (if it is not to wait, `wait` raises all but the last):
            PermissionDeniedError, AuthenticationError, TLSError: If it is strict.
            KeyHeldError: ``on_conflict="fail"``.
            ClosedError: It was open before.
        """
        if self._registrant is not None:
            raise ClosedError("a registration can't be opened twice")
        strict = wait if strict is None else strict
        registrant = Registrant(self._client, self._policy, self._board, self._tell, strict=strict)
        self._registrant = registrant
        registrant.ask(partial(registrant.slots.set, self._entries))
        if wait:
            self.wait()

    def wait(self, timeout: float | None = None) -> bool:
        """
        Return whether etcd holds what was asked for until now, after *timeout* seconds at most.

        After `set`, `remove`, `withdraw` or `restore` that is what a list of the target shows then.
        What others took or deleted is done with.

        Raises:
            ClosedError: It was closed, or never opened; or else the error that has ended it.
            InheritedError: It is the parent's, and this is a forked child.
        """
        if self._registrant is None:
            raise ClosedError(NOT_OPEN)
        asked = self._registrant.asked
        done = self._board.wait_for(
            lambda status: status.ended or (status.settled and status.done >= asked), timeout
        )
        status = self._board.status
        if done:
            self._registrant.let_be_told(TELL)
        if status.ended:
            raise status.failure or ClosedError(NOT_OPEN)
        return done

    def set(self, key: str, endpoint: Endpoint) -> None:
        """Add *endpoint*, or change the one that is at *key*: soon, if etcd is there."""
        entries = _entries({key: endpoint})
        registrant = self._opened()
        registrant.ask(partial(registrant.slots.set, entries))

    def remove(self, key: str) -> None:
        """Register *key* no longer, and delete it if it is ours."""
        registrant = self._opened()
        registrant.ask(partial(registrant.slots.remove, keys.encode(key)))

    def withdraw(self) -> None:
        """Delete all endpoints, but keep the lease, until `restore`."""
        registrant = self._opened()
        registrant.ask(partial(registrant.slots.want, wanted=False))

    def restore(self) -> None:
        """Register the endpoints again that were withdrawn."""
        registrant = self._opened()
        registrant.ask(partial(registrant.slots.want, wanted=True))

    def close(self, timeout: float = CLOSE) -> bool:
        """
        Delete what is ours, revoke the lease, and end.

        Return whether etcd has confirmed that within *timeout* seconds. If not, the lease is kept
        alive no longer, and everything ends with it.
        """
        registrant = self._registrant
        if registrant is None:
            return True
        deadline = Deadline(timeout)
        if not self._board.status.ended:
            registrant.leave()
        self._board.wait_for(lambda status: status.ended, timeout)
        registrant.let_be_told(deadline.left())
        return self._board.status.clean

    def _opened(self) -> Registrant:
        status = self._board.status
        if isinstance(status.failure, InheritedError):
            raise status.failure
        if self._registrant is None or status.ended:
            raise ClosedError(NOT_OPEN)
        return self._registrant

    @property
    def registered(self) -> bool:
        """Whether every endpoint is registered, by all we know."""
        return self._board.status.registered

    @property
    def lease(self) -> int:
        """The id of the lease; 0 if there is none."""
        return self._board.status.lease

    @property
    def endpoints(self) -> Mapping[str, Endpoint | None]:
        """What etcd holds; ``None`` for a value of somebody else's that can't be read."""
        return self._board.status.endpoints

    def __enter__(self) -> Registration:
        try:
            self.start()
        except BaseException:  # Ctrl-C, too, leaves nothing behind
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _tell(self, event: RegistrationEvent) -> None:
        for kind, call in self._callbacks.items():
            if call is not None and kind in {"", event.kind}:
                try:
                    call(event)
                except BaseException as exc:  # noqa: BLE001 - theirs; the others are still told
                    sys.excepthook(type(exc), exc, exc.__traceback__)


def _entries(endpoints: Mapping[str, Endpoint]) -> dict[bytes, Entry]:
    for key, endpoint in endpoints.items():
        keys.target_of(key)
        warn_of_address(key, endpoint.addr)
    return {
        keys.encode(key): Entry(endpoint, wire.encode(endpoint))
        for key, endpoint in endpoints.items()
    }


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidSettingError(f"{name} is {' or '.join(allowed)}, not {value!r}")
