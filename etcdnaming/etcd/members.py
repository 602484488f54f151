"""
The member of etcd that a client uses: found by dialling, and left for the next when it fails.

gRPC would queue a call on a connection that never comes and then report a deadline, which for a
write can't be distinguished from a lost answer. So a connection is used only once it is READY:
nothing was sent before that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc

from ..errors import ClientClosedError, ConnectionFailedError, TLSError
from ..fork import call_after_fork, inherited
from .deadline import Deadline
from .diagnosis import explain
from .grpc_tuning import is_connected, single_threaded_streams, unsubscribe
from .security import Address, Security, TLSFiles

if TYPE_CHECKING:
    from .discovery import Discovery

__all__ = ["REQUIRE_LEADER", "DialledMembers", "GivenMember", "Member", "Members"]

OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # etcd is never behind one
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # a new channel is a new connection, with new files
    ("grpc.service_config_disable_resolution", 1),  # no TXT look-ups
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.http2.max_pings_without_data", 0),  # an idle watch is pinged without end
)

PATIENT = (
    # No ping while a call lasts. But with pings enabled, gRPC has the kernel end a connection whose
    # packets are not acknowledged within the timeout: a dead machine, not a busy process.
    ("grpc.keepalive_time_ms", 3_600_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)
"""Options of a connection for an answer that may be slow."""

QUIET = (("grpc.http2.bdp_probe", 0),)
"""Answers are not followed by pings that find out how large the next ones may be."""

REQUIRE_LEADER = ("hasleader", "true")
"""
With this header, a member that has lost its leader ends a stream instead of going silent, and
refuses a call at once. Without it, the member would hold a call until the deadline, and the outcome
of a write would be unknown.
"""

NEXT_AFTER = 1.0
"""Seconds after which the next endpoint is tried beside one that does not answer."""

MAX_REASONS = 10
"""Endpoints that an error names, with the reason of each."""

_READY = grpc.ChannelConnectivity.READY
_FAILED = grpc.ChannelConnectivity.TRANSIENT_FAILURE


class Member:
    """A member: a name for people, the channel, and the address if we dialled it."""

    __slots__ = ("_calls", "address", "channel", "name", "tls")

    def __init__(
        self, name: str, channel: grpc.Channel, address: Address | None = None, *, tls: bool = False
    ) -> None:
        self.name, self.channel, self.address, self.tls = name, channel, address, tls
        self._calls: dict[object, grpc.UnaryUnaryMultiCallable[Any, Any]] = {}

    def is_stale(self) -> bool:
        """
        Return whether the next call would make gRPC connect again with the old certificates.

        A new channel reads the files again.
        """
        return self.tls and not is_connected(self.channel)

    def unary(
        self, path: str, serialize: Callable[[Any], bytes], deserialize: Callable[[bytes], Any]
    ) -> grpc.UnaryUnaryMultiCallable[Any, Any]:
        """Return the callable of method *path*; cached, because making it takes time."""
        call = self._calls.get((path, deserialize))
        if call is None:
            call = self.channel.unary_unary(
                path, request_serializer=serialize, response_deserializer=deserialize
            )
            self._calls[path, deserialize] = call
        return call


class GivenMember:
    """A channel the program already has: always there, never ours to close."""

    alone = True

    def __init__(self, channel: grpc.Channel) -> None:
        self._member = Member("the channel given", channel)

    def current(self, deadline: Deadline) -> Member:
        """Return the channel; gRPC connects it."""
        return self._member

    def addresses(self, deadline: Deadline) -> Sequence[Address]:
        """Return none: only the program knows where the channel leads."""
        return ()

    def patient(self, member: Member) -> Member:
        """Return it: its settings are the program's."""
        return member

    def leave(self, member: Member) -> None:
        """Stay: there is no other."""

    def close(self) -> None:
        """Leave it to its owner."""


class DialledMembers:
    """
    Endpoints that we dial: one connection for all threads, and the next endpoint when it is left.

    If they are in the DNS, the first dial finds them there, and so does each one after a dial that
    found no member ready. While the DNS does not answer, those known stay.

    *quiet*: there is always a stream, which reports a lost connection, and answers are small.

    `_lock` guards the current member. A thread that finds none dials with the lock held, and the
    others wait for it. So `close`, which must not wait, wakes it by `_woken` and the deadline.
    """

    def __init__(
        self,
        addresses: Sequence[Address] | Discovery,
        security: Security,
        options: Sequence[tuple[str, int]],
        dial_timeout: float,
        *,
        quiet: bool,
    ) -> None:
        self._addresses = [*addresses] if isinstance(addresses, Sequence) else []
        self._discovery = None if isinstance(addresses, Sequence) else addresses
        self._outdated = self._discovery is not None
        self._security = security
        self._options = (*single_threaded_streams(), *options, *(QUIET if quiet else ()))
        self._dial_timeout = dial_timeout
        self._closed = False
        self._begin()
        call_after_fork(self)
        self.alone = len(self._addresses) == 1 and self._discovery is None

    def _begin(self) -> None:
        self._lock, self._woken = threading.Lock(), threading.Condition()
        self._patience = Deadline(0)
        self._member: Member | None = None

    def after_fork(self) -> None:
        """Dial again, in a child: see `fork`."""
        inherited.append(self._member)
        self._begin()

    def current(self, deadline: Deadline) -> Member:
        """
        Return the member in use, dialling if there is none.

        Raises:
            ConnectionFailedError: No endpoint was ready in time.
            ClientClosedError: By `close`.
        """
        with self._lock:
            if self._closed:
                raise ClientClosedError
            if self._member and self._member.is_stale():
                self._leave()
            if self._member is None:
                self._patience = Deadline(min(deadline.left(), self._dial_timeout))
                self._member = self._use(self._dial())
            return self._member

    def addresses(self, deadline: Deadline) -> Sequence[Address]:
        """
        Return the endpoints.

        Raises:
            ConnectionFailedError: They are in the DNS, and were not found there in time.
        """
        with self._lock:
            self._patience = Deadline(min(deadline.left(), self._dial_timeout))
            self._discover()
            return [*self._addresses]

    def patient(self, member: Member) -> Member:
        """
        Return *member* with a connection of its own, which a slow answer does not end.

        The others are ended, with all calls on them, when a ping is not answered in time; but an
        overloaded etcd does not answer pings either.
        """
        if member.address is None:
            return member
        files = self._security.files() if member.tls else None
        channel = self._channel(member.address, PATIENT, files)
        return Member(member.name, channel, member.address, tls=member.tls)

    def tls_files(self, member: Member) -> TLSFiles | None:
        """Return the files for another connection to *member*; ``None`` without TLS."""
        return self._security.files() if member.tls else None

    def leave(self, member: Member) -> None:
        """
        Begin with the next endpoint from now on.

        The channel is dropped, not closed: calls of other threads on it may still succeed.
        """
        with self._lock:
            if self._member is member:
                self._leave()

    def _leave(self) -> None:
        self._member = None
        self._addresses.append(self._addresses.pop(0))

    def close(self) -> None:
        """Give the connection up; it ends with the last call on it."""
        self._closed = True
        with self._woken:
            self._patience.cut()
            self._woken.notify_all()
        with self._lock:
            self._member = None

    def _dial(self) -> _Attempt:
        try:
            self._discover()
            return dial(self._addresses, self._attempt, self._patience, self._woken)
        except ConnectionFailedError:
            self._outdated = self._discovery is not None
            if self._closed:
                raise ClientClosedError from None
            raise

    def _discover(self) -> None:
        if self._discovery is None or not self._outdated:
            return
        known = self._addresses
        try:
            found = self._discovery.find(self._patience, self._woken, known=bool(known))
        except ConnectionFailedError:
            if not known:
                raise
            return
        # The endpoint that was left last stays the last one.
        self._addresses = sorted(found, key=lambda each: each in known[-1:])
        self._outdated = False

    def _attempt(self, address: Address) -> _Attempt:
        files = self._security.files() if self._security.is_tls(address) else None
        channel = self._channel(address, self._options, files)
        return _Attempt(address, channel, files=files, woken=self._woken)

    def _channel(
        self, address: Address, options: Sequence[tuple[str, int | str]], files: TLSFiles | None
    ) -> grpc.Channel:
        options = (*OPTIONS, *options)
        if files:
            if address.server_name:
                options = (*options, ("grpc.ssl_target_name_override", address.server_name))
            return grpc.secure_channel(address.target, files.credentials(), options=options)
        return grpc.insecure_channel(address.target, options=options)

    def _use(self, attempt: _Attempt) -> Member:
        # The endpoint in use stands first: `leave` moves it to the end.
        position = self._addresses.index(attempt.address)
        self._addresses = self._addresses[position:] + self._addresses[:position]
        tls = attempt.files is not None
        return Member(attempt.address.text, attempt.channel, attempt.address, tls=tls)


Members: TypeAlias = GivenMember | DialledMembers
"""The members of a client."""


class _Attempt:
    """
    A connection in the making, made from *files* if it is TLS.

    gRPC calls `_changed` in a thread of its own; `_changed` wakes the thread that dials.
    """

    def __init__(
        self,
        address: Address,
        channel: grpc.Channel,
        *,
        files: TLSFiles | None,
        woken: threading.Condition,
    ) -> None:
        self.address, self.channel, self.files = address, channel, files
        self._woken = woken
        self._state: grpc.ChannelConnectivity | None = None
        self._failure: tuple[str, bool] | None = None
        channel.subscribe(self._changed, try_to_connect=True)

    @property
    def ready(self) -> bool:
        """Say whether calls can be sent."""
        return self._state is _READY

    @property
    def failed(self) -> bool:
        """Say whether it failed at least once; gRPC goes on trying."""
        return self._failure is not None

    @property
    def hopeless(self) -> bool:
        """Say whether waiting can't help: the two sides don't agree on TLS."""
        return self._failure is not None and self._failure[1]

    def reason(self) -> str:
        """Return why it is not ready."""
        return self._failure[0] if self._failure else "no answer"

    def release(self) -> None:
        """Stop listening to the state; the channel is the caller's."""
        unsubscribe(self.channel, self._changed)

    def _changed(self, state: grpc.ChannelConnectivity) -> None:
        failure = self._explain() if state is _FAILED else self._failure
        with self._woken:
            self._state, self._failure = state, failure
            self._woken.notify_all()

    def _explain(self) -> tuple[str, bool]:
        # gRPC reports only the state. A call on a failed connection fails at once, with the reason.
        try:
            self.channel.unary_unary("/etcdserverpb.KV/Range", bytes, bytes)(b"", timeout=0.5)
        except (grpc.RpcError, ValueError) as exc:
            details = exc.details() if isinstance(exc, grpc.Call) else ""
            return explain(self.address, details or "", self.files)
        return "no answer", False


def dial(
    addresses: Sequence[Address],
    connect: Callable[[Address], _Attempt],
    deadline: Deadline,
    woken: threading.Condition,
) -> _Attempt:
    """
    Return the first attempt that is ready.

    The next address is tried when one fails, or is silent for `NEXT_AFTER`. *woken* is notified
    when the *deadline* is cut.

    Raises:
        ConnectionFailedError: None was; `TLSError` if each of them failed over TLS.
    """
    attempts: list[_Attempt] = []
    try:
        chosen = _first_ready(addresses, connect, deadline, woken, attempts)
        if chosen is None:
            raise _failure(attempts, deadline.seconds)
        return chosen
    finally:
        # Dropped, not closed: gRPC's thread that watches the state would end with a traceback.
        # Removed, because an error keeps this frame: gRPC would go on connecting as long as the
        # caller has the error.
        while attempts:
            attempts.pop().release()


def _first_ready(
    addresses: Sequence[Address],
    connect: Callable[[Address], _Attempt],
    deadline: Deadline,
    woken: threading.Condition,
    attempts: list[_Attempt],
) -> _Attempt | None:
    waiting = list(addresses)
    patience = Deadline(0)
    while deadline.left():
        if waiting and (not patience.left() or all(each.failed for each in attempts)):
            attempts.append(connect(waiting.pop(0)))
            patience = Deadline(NEXT_AFTER)
        with woken:
            ready = next((each for each in attempts if each.ready), None)
            if ready or (not waiting and all(each.hopeless for each in attempts)):
                return ready
            if not waiting or not all(each.failed for each in attempts):
                woken.wait(min(deadline.left(), patience.left() if waiting else deadline.left()))
    return None


def _failure(attempts: Sequence[_Attempt], timeout: float) -> ConnectionFailedError:
    shown = attempts[:MAX_REASONS]
    tried = "; ".join(f"{attempt.address.text}: {attempt.reason()}" for attempt in shown)
    if len(attempts) > len(shown):
        tried += f"; and {len(attempts) - len(shown)} more"
    if attempts and all(attempt.hopeless for attempt in attempts):
        return TLSError(f"no etcd endpoint can be used: {tried}")
    if not attempts:
        return ConnectionFailedError("no etcd endpoint reached: no time was left to connect")
    seconds = round(timeout, 1) or timeout
    return ConnectionFailedError(f"no etcd endpoint reached within {seconds:g}s: {tried}")
