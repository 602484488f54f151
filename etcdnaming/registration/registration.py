"""Keep endpoints registered for as long as a block, or a process, runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import TypeAlias, get_args

from .. import keys, wire
from ..addresses import warn_of_address
from ..errors import ClosedError, InheritedError, InvalidSettingError
from ..etcd import Client
from ..etcd.deadline import Deadline
from ..log import logger
from ..model import Endpoint
from .loop import RegistrationLoop
from .rules import EncodedEndpoint, OnConflict, OnDelete, Policy
from .status import RegistrationEvent, RegistrationStatus, is_warning

__all__ = ["Registration"]

MAX_TTL = 9_000_000_000
"""Seconds; the longest TTL that etcd grants."""

CLOSE_TIMEOUT = 2.0
"""Seconds that closing takes at most."""

CALLBACK_TIMEOUT = 1.0
"""Seconds that `Registration.wait` waits for callbacks to return."""

NOT_OPEN = "the registration is not open"

Callback: TypeAlias = Callable[[RegistrationEvent], None]

_log = logger(__name__)


class Registration:
    """
    Endpoints that are in etcd while this is open, all on one lease, and removed when it closes.

        >>> from etcdnaming import Sandbox
        >>> with Sandbox() as etcd, Client(etcd.endpoint) as client:
        ...     with Registration(client, {"svc/e1": Endpoint("10.0.0.1:80")}) as registration:
        ...         registration  # here the service serves
        <Registration of svc/e1: registered>

    It never gives up: after any outage of etcd the endpoints are registered again, and they are put
    back when another client deletes them. If another process takes a key, it is left alone. If
    someone edits the value on this lease, the edit stays.

    All methods may be called from any thread. The registrations of a client share their background
    threads, of which one calls all callbacks, one after another. Close a registration before its
    client. A forked child can't use its parent's registration; it makes a new one, which may use
    the same client.

    Args:
        client: The client of the etcd to register in.

        endpoints: Endpoints by key. A key that ends in "/" gets the address as its name, as on the
            command line. An address that gRPC clients can't dial is registered, and logged as a
            warning.

        ttl: TTL of the lease in seconds: how long the endpoints stay if this process dies.

        on_conflict: What to do with a key that is attached to another lease at the start:
            ``takeover``; ``wait`` until that lease ends, then and later; or ``fail``.

        on_delete: What to do when another client deletes a key: ``restore`` it, or ``leave`` it.

        on_state: Called with every `RegistrationEvent`, in a background thread. Its *kind* is
            ``lost`` when the endpoints may have expired, and ``regained`` when they are back.
            Without it, the events are logged.

        wait: A ``with`` block begins when all endpoints are registered. False: it begins at once,
            also while etcd is away, as a server's must that is to be stopped by a signal.

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
        on_state: Callback | None = None,
        wait: bool = True,
    ) -> None:
        if not 1 <= ttl <= MAX_TTL:
            raise InvalidSettingError(f"a TTL is from 1 to {MAX_TTL} seconds, not {ttl}")
        _check("on_conflict", on_conflict, get_args(OnConflict))
        _check("on_delete", on_delete, get_args(OnDelete))
        self._client = client
        self._policy = Policy(ttl, on_conflict, on_delete)
        self._endpoints = _encoded(endpoints)
        self._on_state = self._log if on_state is None else on_state
        self._wait = wait
        self._status = RegistrationStatus()
        self._loop: RegistrationLoop | None = None

    def start(self, *, wait: bool = True, strict: bool | None = None) -> None:
        """
        Start to register the endpoints.

            >>> registration = Registration(client, {"foo/svc/e1": Endpoint("10.0.0.1:80")})
            >>> registration.start(wait=False)
            >>> registration.wait(timeout=60), registration.close()
            (True, True)

        Args:
            wait: Wait until all endpoints are registered, however long that takes.

            strict: Until all endpoints were registered once, an error that waiting can't heal ends
                the registration. Otherwise it is retried for ever. Default: as *wait*.

        Without *wait*, all but the last of these are raised by the method `wait`.

        Raises:
            PermissionDeniedError, AuthenticationError, TLSError: If it is strict.
            KeyHeldError: ``on_conflict="fail"``, and a key is attached to another lease.
            ClosedError: It was open before.
        """
        if self._loop is not None:
            raise ClosedError("a registration can't be opened twice")
        strict = wait if strict is None else strict
        loop = RegistrationLoop(
            self._client, self._policy, self._status, self._call_back, strict=strict
        )
        self._loop = loop
        loop.request(partial(loop.keys.set, self._endpoints))
        if wait:
            self.wait()

    def wait(self, timeout: float | None = None) -> bool:
        """
        Return whether etcd holds what was requested until now, after at most *timeout* seconds.

        After `set`, `remove`, `withdraw` or `restore` a list of the target shows the same. Keys
        that were given up to other clients don't count.

            >>> with Registration(client, {"foo/svc/e1": Endpoint("10.0.0.1:80")}) as registration:
            ...     registration.withdraw()
            ...     registration.wait(timeout=60), len(manager.list())
            (True, 0)

        Raises:
            ClosedError: It was closed, or never opened; or else the error that has ended it.
            InheritedError: It is the parent's, and this is a forked child.
        """
        if self._loop is None:
            raise ClosedError(NOT_OPEN)
        requested = self._loop.requested
        done = self._status.wait_for(
            lambda status: status.ended or (status.settled and status.done >= requested), timeout
        )
        status = self._status.current
        if done:
            self._loop.wait_for_callbacks(CALLBACK_TIMEOUT)
        if status.ended:
            raise status.failure or ClosedError(NOT_OPEN)
        return done

    def set(self, key: str, endpoint: Endpoint) -> None:
        """
        Add *endpoint* or change the one at *key*, in the background; `wait` waits for it.

            >>> with Registration(client, {"foo/svc/e1": Endpoint("10.0.0.1:80")}) as registration:
            ...     registration.set("foo/svc/e1", Endpoint("10.0.0.1:80", {"weight": 3}))
            ...     registration.wait(timeout=60), manager.get("foo/svc/e1").endpoint.metadata
            (True, {'weight': 3})

        Raises:
            InvalidTargetError, InvalidEndpointError: Nothing was changed.
            ClosedError: The registration is not open.
        """
        endpoints = _encoded({key: endpoint})
        loop = self._open_loop()
        loop.request(partial(loop.keys.set, endpoints))

    def remove(self, key: str) -> None:
        """
        Register *key* no longer, and delete it unless another client has taken it.

            >>> with Registration(client, {"foo/svc/e1": Endpoint("10.0.0.1:80")}) as registration:
            ...     registration.remove("foo/svc/e1")
            ...     registration.wait(timeout=60), len(manager.list())
            (True, 0)
        """
        loop = self._open_loop()
        loop.request(partial(loop.keys.remove, keys.encode(key)))

    def withdraw(self) -> None:
        """
        Delete all endpoints, but keep the lease, until `restore`.

            >>> with Registration(client, {"foo/svc/e1": Endpoint("10.0.0.1:80")}) as registration:
            ...     registration.withdraw()
            ...     registration.wait(timeout=60), dict(registration.endpoints)
            (True, {})
        """
        loop = self._open_loop()
        loop.request(partial(loop.keys.want, wanted=False))

    def restore(self) -> None:
        """
        Register the withdrawn endpoints again.

            >>> with Registration(client, {"foo/svc/e1": Endpoint("10.0.0.1:80")}) as registration:
            ...     registration.withdraw()
            ...     registration.restore()
            ...     registration.wait(timeout=60), len(manager.list())
            (True, 1)
        """
        loop = self._open_loop()
        loop.request(partial(loop.keys.want, wanted=True))

    def close(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """
        Delete the registered keys, revoke the lease, and end.

        Return whether etcd has confirmed that within *timeout* seconds. If not, the lease is no
        longer renewed, and the remaining keys expire with it.

            >>> registration = Registration(client, {"foo/svc/e1": Endpoint("10.0.0.1:80")})
            >>> registration.start()
            >>> registration.close(), len(manager.list())
            (True, 0)
        """
        loop = self._loop
        if loop is None:
            return True
        deadline = Deadline(timeout)
        if not self._status.current.ended:
            loop.leave()
        self._status.wait_for(lambda status: status.ended, timeout)
        loop.wait_for_callbacks(deadline.left())
        return self._status.current.clean

    def _open_loop(self) -> RegistrationLoop:
        status = self._status.current
        if isinstance(status.failure, InheritedError):
            raise status.failure
        if self._loop is None or status.ended:
            raise ClosedError(NOT_OPEN)
        return self._loop

    @property
    def registered(self) -> bool:
        """
        Return whether every endpoint is registered, as far as known.

            >>> with Registration(client, {"foo/svc/e1": Endpoint("10.0.0.1:80")}) as registration:
            ...     registration.registered
            True
        """
        return self._status.current.registered

    @property
    def lease(self) -> int:
        """
        Return the id of the lease; 0 if there is none.

            >>> with Registration(client, {"foo/svc/e1": Endpoint("10.0.0.1:80")}) as registration:
            ...     registration.lease == manager.get("foo/svc/e1").lease
            True
        """
        return self._status.current.lease

    @property
    def renewal(self) -> tuple[int, float] | None:
        """
        Return the TTL of the lease in seconds, and when it was renewed last; ``None`` without one.

        That is a Unix time: of the last keep-alive request that etcd has confirmed.

            >>> with Registration(client, {"foo/svc/e1": Endpoint("10.0.0.1:80")}) as registration:
            ...     ttl, renewed = registration.renewal
            ...     ttl, 0 <= time.time() - renewed < 10
            (10, True)
        """
        if self._loop is None or self._status.current.ended:
            return None
        found = self._loop.renewal
        if found is None:
            return None
        ttl, renewed = found
        return ttl, time.time() - (time.monotonic() - renewed)

    @property
    def endpoints(self) -> Mapping[str, Endpoint | None]:
        """
        Return what etcd holds; ``None`` for another client's value that can't be read.

            >>> with Registration(client, {"foo/svc/e1": Endpoint("10.0.0.1:80")}) as registration:
            ...     dict(registration.endpoints)
            {'foo/svc/e1': Endpoint(addr='10.0.0.1:80', metadata=None)}
        """
        return self._status.current.endpoints

    def __enter__(self) -> Registration:
        try:
            self.start(wait=self._wait)
        except BaseException:  # Ctrl-C must not leave anything behind either
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

    def __repr__(self) -> str:
        state = "registered" if self.registered else "not registered"
        return f"<Registration of {self._names()}: {state}>"

    def _log(self, event: RegistrationEvent) -> None:
        log = _log.warning if is_warning(event) else _log.info
        if event.key:
            log("%s", event)
        else:
            log("the registration of %s: %s", self._names(), event)

    def _names(self) -> str:
        first, *others = [*map(keys.decode, self._endpoints)] or ["no endpoints"]
        return f"{first} and {len(others)} more" if others else first

    def _call_back(self, event: RegistrationEvent) -> None:
        try:
            self._on_state(event)
        except BaseException as exc:  # noqa: BLE001 - the caller's; the registration goes on
            sys.excepthook(type(exc), exc, exc.__traceback__)


def _encoded(endpoints: Mapping[str, Endpoint]) -> dict[bytes, EncodedEndpoint]:
    encoded: dict[bytes, EncodedEndpoint] = {}
    for given, endpoint in endpoints.items():
        key = keys.complete_key(given, endpoint.addr)
        keys.target_of(key)
        warn_of_address(key, endpoint.addr)
        encoded[keys.encode(key)] = EncodedEndpoint(endpoint, wire.encode(endpoint))
    return encoded


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidSettingError(f"{name} must be {' or '.join(allowed)}, not {value!r}")
