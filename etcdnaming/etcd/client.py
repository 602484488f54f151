"""A client of etcd: the unary calls that naming needs, and what its users share."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from ..errors import ClientClosedError, InvalidSettingError, RefusedError
from ..fork import call_after_fork, inherited
from ..model import Lease, LeaseTTL, MemberStatus
from . import rpc_pb2 as rpc
from .answers import header_of
from .calls import (
    DELETE_RANGE,
    LEASE_GRANT,
    LEASE_REVOKE,
    LEASE_TIME_TO_LIVE,
    RANGE,
    RANGE_BY_COLUMNS,
    READ,
    STATUS,
    TXN,
    Caller,
)
from .columns import PageOfColumns
from .deadline import Deadline, within
from .login import Login
from .members import DialledMembers, GivenMember, Members
from .security import Address, Security, parse_addresses

if TYPE_CHECKING:
    import grpc

    from .discovery import Discovery

__all__ = ["Client", "addresses_of"]

DEFAULT_ENDPOINTS = ("127.0.0.1:2379",)

MIN_KEEPALIVE_TIME = 6.0
"""Seconds. etcd disconnects clients that ping more often than every 5 s."""

MAX_TIMEOUT = 24 * 86400.0
"""Seconds; gRPC counts milliseconds in 32 bits. A longer timeout means none."""


class Client:
    """
    The calls of etcd that naming needs, for any number of threads; connects when first used.

        >>> with Client("127.0.0.1:2379,127.0.0.1:2380") as client:
        ...     client
        <Client of etcd at 127.0.0.1:2379, 127.0.0.1:2380>

    Attributes:
        timeout: Seconds that an operation takes at most: *dial_timeout* and *command_timeout*.

    Args:
        endpoints: ``host:port``, ``http://…``, ``https://…`` or ``unix://…``, tried in this order;
            a list, or one text with commas between them, as ``ETCDCTL_ENDPOINTS`` has it.
            Default: ``127.0.0.1:2379``.

        discovery_srv, discovery_srv_name: Instead of *endpoints*, those that the SRV records
            ``_etcd-client-ssl._tcp.DOMAIN`` (TLS) and ``_etcd-client._tcp.DOMAIN`` list, with
            ``-NAME`` after ``client`` or ``ssl``; they are looked up again when none is reached.
            Needs the extra ``etcdnaming[srv]``.

        insecure_discovery: ``False``: use only records for TLS, and members whose certificate is
            for the domain; if all records are for plain text, the *endpoints*.

        channel: An existing channel to etcd, instead of *endpoints*; it is used as it is and never
            closed.

        cacert, cert, key: Files, PEM. Any of them switches TLS on; each is read again for every
            new connection. What is no regular file, as a pipe, is read once, now, and kept.

        insecure_transport: ``False`` switches TLS on with the machine's own CAs, and those of
            ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``.

        user, password, password_file: The user to log in. The file is read again for every login;
            a pipe is read once.

        auth_jwt_token: A token to send as it is, instead of logging in.

        dial_timeout, command_timeout: Seconds to find a member, and for the answer.

            An operation, of however many calls, ends within both together.

        keepalive_time, keepalive_timeout: Seconds between pings of a busy connection (6 at
            least: etcd disconnects clients that ping more often), and for their answer.

        quiet: A stream is always open, as of a registration, and there are few other calls. gRPC
            then sends no pings to measure the bandwidth.

    Raises:
        InvalidSettingError: These settings make no client. Nothing was sent.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str] | None = None,
        *,
        discovery_srv: str | None = None,
        discovery_srv_name: str | None = None,
        insecure_discovery: bool = True,
        channel: grpc.Channel | None = None,
        cacert: str | None = None,
        cert: str | None = None,
        key: str | None = None,
        insecure_transport: bool = True,
        user: str | None = None,
        password: str | None = None,
        password_file: str | None = None,
        auth_jwt_token: str | None = None,
        dial_timeout: float = 2.0,
        command_timeout: float = 5.0,
        keepalive_time: float = MIN_KEEPALIVE_TIME,
        keepalive_timeout: float = 6.0,
        quiet: bool = False,
    ) -> None:
        if min(dial_timeout, command_timeout, keepalive_timeout) <= 0:
            raise InvalidSettingError("timeouts must be more than 0")
        dial_timeout = min(dial_timeout, MAX_TIMEOUT)
        command_timeout = min(command_timeout, MAX_TIMEOUT)
        self.timeout: float = dial_timeout + command_timeout
        self._members: Members
        if not discovery_srv and (discovery_srv_name or not insecure_discovery):
            raise InvalidSettingError(
                "discovery_srv_name and insecure_discovery need a discovery_srv"
            )
        with within(self.timeout):  # for files that are pipes
            if channel is not None:
                if not insecure_transport or any((cacert, cert, key)):
                    raise InvalidSettingError("channel has its own TLS: give no certificates")
                if discovery_srv:
                    raise InvalidSettingError("use either channel or discovery_srv")
                self._members, self._where = GivenMember(channel), "the channel given"
            else:
                if discovery_srv:
                    from .discovery import Discovery  # rarely needed

                    addresses: Sequence[Address] | Discovery = Discovery(
                        discovery_srv,
                        discovery_srv_name,
                        insecure=insecure_discovery,
                        others=() if endpoints is None else parse_addresses(endpoints),
                    )
                    self._where = str(addresses)
                else:
                    addresses = parse_addresses(
                        DEFAULT_ENDPOINTS if endpoints is None else endpoints
                    )
                    self._where = ", ".join(address.text for address in addresses)
                self._members = DialledMembers(
                    addresses,
                    Security(
                        cacert=cacert,
                        cert=cert,
                        key=key,
                        insecure_transport=insecure_transport,
                        timeout=self.timeout,
                    ),
                    _keepalive(keepalive_time, keepalive_timeout),
                    dial_timeout,
                    quiet=quiet,
                )
            self._login = Login(
                self._members,
                user=user,
                password=password,
                password_file=password_file,
                auth_jwt_token=auth_jwt_token,
                dial_timeout=dial_timeout,
                command_timeout=command_timeout,
            )
        self._caller = Caller(
            self._members, self._login, dial_timeout=dial_timeout, command_timeout=command_timeout
        )
        self._attachments = _Attachments()
        self._attach, self._detach = self._attachments.attach, self._attachments.detach

    def __repr__(self) -> str:
        return f"<Client of etcd at {self._where}>"

    def _range(self, request: rpc.RangeRequest) -> rpc.RangeResponse:
        """Read keys; repeated on another member if one does not answer."""
        return self._caller.call(RANGE, request)

    def _range_by_columns(self, request: rpc.RangeRequest) -> PageOfColumns:
        """Do the same as `_range`; many keys are decoded faster."""
        return self._caller.call(RANGE_BY_COLUMNS, request)

    def _txn(self, request: rpc.TxnRequest) -> rpc.TxnResponse:
        """
        Compare and write in one transaction.

        Raises:
            OutcomeUnknownError: It was sent, and no answer came.
        """
        return self._caller.call(TXN, request)

    def _read(self, request: rpc.TxnRequest, *, to_write: bool) -> rpc.TxnResponse:
        """Read several keys at one revision; repeated on another member if one does not answer."""
        return self._caller.call(READ, request, to_write=to_write)

    def _delete_range(self, request: rpc.DeleteRangeRequest) -> rpc.DeleteRangeResponse:
        """
        Delete a range of keys.

        Raises:
            OutcomeUnknownError: It was sent, and no answer came.
        """
        return self._caller.call(DELETE_RANGE, request)

    def lease_grant(self, ttl: int, *, lease: int = 0) -> Lease:
        """
        Return a new lease of *ttl* seconds or, if that is less than etcd grants, more.

        *lease* is the id to use; 0: etcd chooses. With an id, a request that got no answer can be
        sent again, and still makes one lease only.

            >>> lease = client.lease_grant(30)
            >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"), lease=lease.id)
            >>> manager.get("foo/svc/e1").lease == lease.id
            True
        """
        try:
            granted = self._caller.call(LEASE_GRANT, rpc.LeaseGrantRequest(TTL=ttl, ID=lease))
        except RefusedError as exc:
            if lease and "lease already exists" in exc.text:
                return Lease(lease, ttl)
            raise
        return Lease(granted.ID, granted.TTL)

    def lease_revoke(self, lease: int) -> int:
        """
        End *lease*, which deletes all keys on it, and return the revision of that.

            >>> lease = client.lease_grant(30)
            >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"), lease=lease.id)
            >>> client.lease_revoke(lease.id) > 0, len(manager.list())
            (True, 0)

        Raises:
            LeaseNotFoundError: It is gone already.
        """
        revoked = self._caller.call(LEASE_REVOKE, rpc.LeaseRevokeRequest(ID=lease))
        return revoked.header.revision

    def lease_time_to_live(self, lease: int) -> int:
        """
        Return the seconds *lease* has left; -1 if it is gone.

            >>> client.lease_time_to_live(client.lease_grant(300).id) > 200
            True
        """
        return self.lease_ttl(lease).remaining

    def lease_ttl(self, lease: int) -> LeaseTTL:
        """
        Return the seconds for which *lease* was granted, and those it has left.

            >>> client.lease_ttl(client.lease_grant(300).id).granted, client.lease_ttl(1)
            (300, LeaseTTL(granted=0, remaining=-1))
        """
        answer = self._caller.call(LEASE_TIME_TO_LIVE, rpc.LeaseTimeToLiveRequest(ID=lease))
        return LeaseTTL(answer.grantedTTL, answer.TTL)

    def status(self) -> MemberStatus:
        """
        Return the status of the member in use.

        Any user may ask for it, also where etcd wants a login.

            >>> status = client.status()
            >>> status.role, status.errors, status.seconds < 10
            ('leader', [], True)
        """
        with within(self.timeout) as deadline:
            self._caller.call(STATUS, rpc.StatusRequest())  # connects and logs in
            begin = time.monotonic()
            answer = self._caller.call(STATUS, rpc.StatusRequest())
            seconds = time.monotonic() - begin
            certificate, tls = self._handshake(deadline)
        head = answer.header
        leads = "leader" if answer.leader == head.member_id else "follower"
        return MemberStatus(
            header_of(head),
            answer.version,
            "learner" if answer.isLearner else leads,
            answer.dbSize,
            [*answer.errors],
            seconds,
            self._login.user,
            tls,
            certificate,
        )

    def _handshake(self, deadline: Deadline) -> tuple[str, str]:
        """Return the end of the member's certificate and the version of TLS, as far as known."""
        if not isinstance(self._members, DialledMembers):
            return "", ""
        member = self._members.current(deadline)
        files = self._members.tls_files(member)
        if files is None or member.address is None:
            return "", ""
        from .diagnosis import handshake  # gRPC does not say it
        from .pem import valid_until

        try:
            certificate, version = handshake(member.address, files)
        except (OSError, ValueError):
            return "", ""
        return valid_until(certificate), version

    def local_address(self) -> str:
        """
        Return our IP address as etcd sees it; empty where etcd is not reached by IP.

            >>> client.local_address()
            '127.0.0.1'
        """
        with within(self.timeout) as deadline:
            address = self._members.current(deadline).address
        if address is None or address.target.startswith("unix:"):
            return ""
        host, _, port = address.target.removeprefix("dns:///").rpartition(":")
        family, kind, _, _, peer = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind) as probe:
            probe.connect(peer)  # UDP: chooses a route, sends nothing
            return str(probe.getsockname()[0])

    def close(self) -> None:
        """
        Give the connection up, unless it is an existing channel; it ends with the last call on it.

        Watches, registrations and channels of this client end, too: a watch raises
        `ClientClosedError`, registered endpoints expire with their lease, and a channel keeps its
        last endpoints.

            >>> other = Client()
            >>> other.close()
            >>> other.status()
            Traceback (most recent call last):
            etcdnaming.errors.ClientClosedError: the client is closed
        """
        self._attachments.close()
        self._caller.close()
        self._members.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def addresses_of(client: Client) -> Sequence[Address]:
    """
    Return the endpoints of *client*; none if it was given a channel.

    Raises:
        ConnectionFailedError: They are in the DNS, and were not found there in time.
    """
    with within(client.timeout) as deadline:
        return client._members.addresses(deadline)


def _keepalive(time: float, timeout: float) -> tuple[tuple[str, int], ...]:
    time, timeout = min(time, MAX_TIMEOUT), min(timeout, MAX_TIMEOUT)
    return (
        ("grpc.keepalive_time_ms", int(1000 * max(time, MIN_KEEPALIVE_TIME))),
        ("grpc.keepalive_timeout_ms", int(1000 * timeout)),
        # Newer gRPC uses this one: without it, a frozen member is noticed after a minute.
        ("grpc.http2.ping_timeout_ms", int(1000 * timeout)),
    )


class Attachable(Protocol):
    """Streams, threads or state that all users of a client share."""

    def close(self) -> None:
        """End, without waiting: the last user has detached it, or the client was closed."""

    def after_fork(self) -> None:
        """
        Release the users in a child process, where it has no threads any more.

        A thread of the parent may have held its lock, which then is never released; and gRPC must
        not be called.
        """


Attached = TypeVar("Attached", bound=Attachable)


class _Attachments:
    """
    The objects attached to one client, by kind, and the number of their users.

    The client passes on its end and a fork, so no attached object needs a registry or a fork hook
    of its own, and the client need not know what it is.

    `_lock` guards everything. It is held while *factory* runs, so that there is one object of a
    kind, but not while an object is closed: that takes locks of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._attached: dict[Hashable, Attachable] = {}
        self._users: dict[Hashable, int] = {}
        self._closed = False
        call_after_fork(self)

    def attach(self, kind: Hashable, factory: Callable[[], Attached]) -> Attached:
        """
        Return the object that all users of *kind* share; *factory* makes it for the first user.

        Each user detaches it again. It is closed by the last user or with the client, whichever is
        first. A forked child starts without it.

        Raises:
            ClientClosedError: By `close`.
        """
        with self._lock:
            if self._closed:
                raise ClientClosedError
            if kind not in self._attached:
                self._attached[kind], self._users[kind] = factory(), 0
            self._users[kind] += 1
            return cast("Attached", self._attached[kind])  # a kind has one type

    def detach(self, kind: Hashable, attached: Attachable) -> None:
        """Release *attached*; the last user closes it."""
        with self._lock:
            if self._attached.get(kind) is not attached:
                return  # the client was closed since, or this process was forked
            self._users[kind] -= 1
            if self._users[kind]:
                return
            del self._attached[kind]
        attached.close()

    def close(self) -> None:
        """Close all attached objects; `attach` fails from now on."""
        with self._lock:
            self._closed = True
            attached = list(self._attached.values())
            self._attached.clear()
        for each in attached:
            each.close()

    def after_fork(self) -> None:
        """Start without attached objects, in a child: see `fork`."""
        attached = list(self._attached.values())
        inherited.append(attached)
        self._lock, self._attached = threading.Lock(), {}
        for each in attached:
            each.after_fork()
