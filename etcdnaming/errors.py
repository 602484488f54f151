"""
The errors of this package, in one tree. Each is made from its facts, and words its message.

    EtcdnamingError
    ├── InvalidTargetError          an empty target, or one of slashes only
    ├── InvalidKeyError             a key outside its target
    ├── InvalidEndpointError        an endpoint that can't be stored, or can't be dialled
    │   └── MissingPortError        its address is a host without a port
    ├── InvalidSettingError         settings that make no client or registration
    ├── InvalidValueError           a stored value that can't be read
    ├── TooManyOperationsError      more than one transaction takes; nothing was written
    ├── ConditionFailedError        a condition of an update was not met; nothing was written
    ├── EndpointNotFoundError       a key that was to be changed does not exist
    ├── ClosedError                 closed by its owner
    ├── InheritedError              used in a forked child, but made by its parent
    ├── ConflictError               other clients kept changing the keys; nothing was written
    │   └── KeyHeldError            a key is attached to another lease, and not taken over
    ├── SandboxError                no temporary etcd could be started
    │   └── EtcdNotFoundError       no etcd is installed on this machine
    └── EtcdError                   etcd refused a request, or was not reached
        ├── ConnectionFailedError   no endpoint reached in time, or it did not answer
        │   ├── TLSError            an endpoint was reached, but TLS failed
        │   └── ClientClosedError   the client, or the channel passed to it, was closed
        ├── AuthenticationError     login refused
        │   └── TokenRefusedError   the token is missing, too old or unknown
        ├── InvalidAnswerError      an answer that no etcd gives
        ├── OutcomeUnknownError     a write that may or may not have been applied
        │   └── NoSpaceError        etcd's database is full
        └── RefusedError            etcd refused the request
            ├── PermissionDeniedError
            ├── LeaseNotFoundError
            ├── CompactedError
            ├── FutureRevisionError
            ├── NotNowError         a member can't answer now
            │   └── LearnerError    it does not vote yet
            └── MessageTooLargeError
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import Condition, Header

__all__ = [
    "AuthenticationError",
    "ClientClosedError",
    "ClosedError",
    "CompactedError",
    "ConditionFailedError",
    "ConflictError",
    "ConnectionFailedError",
    "EndpointNotFoundError",
    "EtcdError",
    "EtcdNotFoundError",
    "EtcdnamingError",
    "FutureRevisionError",
    "InheritedError",
    "InvalidAnswerError",
    "InvalidEndpointError",
    "InvalidKeyError",
    "InvalidSettingError",
    "InvalidTargetError",
    "InvalidValueError",
    "KeyHeldError",
    "LearnerError",
    "LeaseNotFoundError",
    "MessageTooLargeError",
    "MissingPortError",
    "NoSpaceError",
    "NotNowError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "RefusedError",
    "SandboxError",
    "TLSError",
    "TokenRefusedError",
    "TooManyOperationsError",
]


class EtcdnamingError(Exception):
    """
    Base of all errors of this package.

        >>> try:
        ...     manager.get("bar/e1")
        ... except EtcdnamingError as error:
        ...     print(type(error).__name__, error, sep=": ")
        InvalidKeyError: endpoints: endpoint key should be prefixed with 'foo/svc/' got: 'bar/e1'
    """


class InvalidTargetError(EtcdnamingError, ValueError):
    """
    The target is empty, made of slashes only, or names a host.

        >>> EndpointManager(client, "/")
        Traceback (most recent call last):
        etcdnaming.errors.InvalidTargetError: invalid target '/': it names no service

    Attributes:
        target: As it was given.
    """

    def __init__(self, target: str, reason: str = "it names no service") -> None:
        super().__init__(f"invalid target {target!r}: {reason}")
        self.target = target


class InvalidKeyError(EtcdnamingError, ValueError):
    """
    The key does not lie under its target; the message is that of Go's client.

        >>> try:
        ...     manager.delete_endpoint("bar/e1")
        ... except InvalidKeyError as error:
        ...     print(error)
        endpoints: endpoint key should be prefixed with 'foo/svc/' got: 'bar/e1'

    Attributes:
        key: The key.

        target: The target that it must lie under.
    """

    def __init__(self, key: str, target: str) -> None:
        super().__init__(
            f"endpoints: endpoint key should be prefixed with '{target}/' got: '{key}'"
        )
        self.key = key
        self.target = target


class InvalidEndpointError(EtcdnamingError, ValueError):
    """
    The endpoint can't be stored so that Go could read it, or its address can't be dialled.

        >>> manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80", {1, 2}))
        Traceback (most recent call last):
        etcdnaming.errors.InvalidEndpointError: metadata can't hold set
    """


class MissingPortError(InvalidEndpointError):
    """
    The address of an endpoint is a host without a port, which gRPC clients can't dial.

        >>> str(MissingPortError("10.0.0.1"))
        "the address '10.0.0.1' has no port: write 10.0.0.1:PORT"

    Attributes:
        addr: The address.
    """

    def __init__(self, addr: str) -> None:
        example = f"[{addr}]:PORT" if addr.count(":") > 1 and addr[0] != "[" else f"{addr}:PORT"
        super().__init__(f"the address {addr!r} has no port: write {example}")
        self.addr = addr


class InvalidSettingError(EtcdnamingError, ValueError):
    """
    An etcd endpoint, a file, or a combination of settings is not valid.

    *setting* is the argument of `Client` that is wrong; empty if it is not a single one.

        >>> Client("localhost")
        Traceback (most recent call last):
        etcdnaming.errors.InvalidSettingError: etcd endpoint 'localhost' is not HOST:PORT
    """

    def __init__(self, text: str, *, setting: str = "") -> None:
        super().__init__(text)
        self.setting = setting


class InvalidValueError(EtcdnamingError, ValueError):
    """
    A stored value can't be read as an endpoint, or its metadata can't be changed as requested.

    A value is read if Go's ``json.Unmarshal`` accepts it as an endpoint.

        >>> try:
        ...     manager.get("foo/svc/e1")
        ... except InvalidValueError as error:
        ...     print("another program uses this key:", error)
    """


class TooManyOperationsError(EtcdnamingError, ValueError):
    """
    More operations or compares than one transaction takes.

        >>> updates = [Update.delete(f"foo/svc/e{n}") for n in range(200)]
        >>> manager.update(updates)
        Traceback (most recent call last):
        etcdnaming.errors.TooManyOperationsError: 200 operations are more than the 128 ...

    Attributes:
        count: The number of operations.

        limit: The most that one transaction takes.
    """

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(
            f"{count} operations are more than the {limit} that etcd takes in one transaction: "
            "nothing was written"
        )
        self.count = count
        self.limit = limit


class ConditionFailedError(EtcdnamingError):
    """
    At least one condition was not met, so nothing was written.

        >>> manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"), if_mod_revision=7)
        Traceback (most recent call last):
        etcdnaming.errors.ConditionFailedError: condition not met: if foo/svc/e1 has mod_revision 7

    Attributes:
        failed: The conditions that were not met.

        header: Of etcd's answer.
    """

    def __init__(self, failed: Sequence[Condition], header: Header) -> None:
        super().__init__("; ".join(f"condition not met: if {condition}" for condition in failed))
        self.failed: tuple[Condition, ...] = tuple(failed)
        self.header = header


class EndpointNotFoundError(EtcdnamingError, LookupError):
    """
    Keys whose endpoints were to be changed do not exist; nothing was written.

        >>> manager.modify("foo/svc/e1", lambda stored: stored.endpoint)
        Traceback (most recent call last):
        etcdnaming.errors.EndpointNotFoundError: not found: foo/svc/e1: nothing was written

    Attributes:
        keys: The keys that do not exist.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(f"not found: {', '.join(keys)}: nothing was written")
        self.keys: tuple[str, ...] = tuple(keys)


class ClosedError(EtcdnamingError):
    """
    It was closed by its owner, perhaps in another thread.

        >>> Registration(client, {"foo/svc/e1": Endpoint("10.0.0.1:80")}).withdraw()
        Traceback (most recent call last):
        etcdnaming.errors.ClosedError: the registration is not open
    """


class InheritedError(EtcdnamingError):
    """
    A watch or a registration of the parent process is used in a forked child.

        >>> str(InheritedError("the watch"))
        'the watch belongs to the parent of this forked process: make a new one'
    """

    def __init__(self, thing: str) -> None:
        super().__init__(f"{thing} belongs to the parent of this forked process: make a new one")


class ConflictError(EtcdnamingError):
    """
    Other clients created or deleted the keys each time before they were written.

        >>> ConflictError(["foo/svc/e1"], attempts=10).keys
        ('foo/svc/e1',)

    Attributes:
        keys: The keys of the update.
    """

    def __init__(self, keys: Sequence[str], attempts: int) -> None:
        super().__init__(
            f"{', '.join(keys)}: changed by other clients {attempts} times while being written: "
            "nothing was written"
        )
        self.keys: tuple[str, ...] = tuple(keys)


class KeyHeldError(ConflictError):
    """
    Another registration holds the key, and it is not taken over.

        >>> held = {"foo/svc/e1": Endpoint("10.0.0.1:80")}
        >>> with Registration(client, held), Registration(client, held, on_conflict="fail"):
        ...     pass
        Traceback (most recent call last):
        etcdnaming.errors.KeyHeldError: foo/svc/e1 is held by lease ...: not registered

    Attributes:
        keys: The key, alone.

        lease: The ID of the lease that holds it.
    """

    def __init__(self, key: str, lease: int) -> None:
        EtcdnamingError.__init__(self, f"{key} is held by lease {lease:016x}: not registered")
        self.keys: tuple[str, ...] = (key,)
        self.lease = lease


class SandboxError(EtcdnamingError):
    """
    A temporary etcd could not be started, or did not become ready.

        >>> with Sandbox("--no-such-flag"):
        ...     pass
        Traceback (most recent call last):
        etcdnaming.errors.SandboxError: ...
    """


class EtcdNotFoundError(SandboxError):
    """
    No etcd is installed.

        >>> str(EtcdNotFoundError())
        "no etcd found: none is on PATH, and the extra 'sandbox' is not installed ..."
    """

    def __init__(self) -> None:
        from .extras import missing

        super().__init__(f"no etcd found: none is on PATH, and {missing('sandbox')}")


class EtcdError(EtcdnamingError):
    """
    etcd refused a request, or was not reached.

        >>> try:
        ...     EndpointManager(Client("127.0.0.1:1", dial_timeout=0.1), "foo/svc").list()
        ... except EtcdError as error:
        ...     print(type(error).__name__)
        ConnectionFailedError
    """


class ConnectionFailedError(EtcdError):
    """
    No endpoint was usable in time. No write was sent.

        >>> Client("127.0.0.1:1", dial_timeout=0.1).status()
        Traceback (most recent call last):
        etcdnaming.errors.ConnectionFailedError: no etcd endpoint reached within 0.1s: ...
    """


class TLSError(ConnectionFailedError):
    """
    An endpoint was reached, but the TLS handshake failed.

        >>> with Sandbox() as etcd:
        ...     Client(f"https://{etcd.endpoint}").status()
        Traceback (most recent call last):
        etcdnaming.errors.TLSError: ...
    """


class ClientClosedError(ConnectionFailedError):
    """
    The program has closed the client, or the channel passed to it.

        >>> other = Client()
        >>> other.close()
        >>> other.status()
        Traceback (most recent call last):
        etcdnaming.errors.ClientClosedError: the client is closed
    """

    def __init__(self) -> None:
        super().__init__("the client is closed")


class AuthenticationError(EtcdError):
    """
    The user name, password or token was refused.

        >>> try:
        ...     _ = client.status()
        ... except AuthenticationError:
        ...     print("wrong user or password")
    """


class TokenRefusedError(AuthenticationError):
    """
    The token is missing, too old or unknown, so nothing was applied; a new login was of no use.

        >>> str(TokenRefusedError("etcdserver: invalid auth token"))
        'etcdserver: invalid auth token'
    """


class InvalidAnswerError(EtcdError):
    """
    The answer is one that no etcd gives, as of a broken proxy; *fault* says what is wrong with it.

        >>> str(InvalidAnswerError("lease ID 0", "10.0.0.9:2379"))
        '10.0.0.9:2379: invalid answer, check any proxy in front of etcd: lease ID 0'
    """

    def __init__(self, fault: str, member: str = "etcd") -> None:
        super().__init__(f"{member}: invalid answer, check any proxy in front of etcd: {fault}")
        self.fault = fault


class OutcomeUnknownError(EtcdError):
    """
    The write was sent, but no answer was received: it may have been applied.

        >>> str(OutcomeUnknownError("127.0.0.1:2379", "no answer within 5s"))
        '127.0.0.1:2379: no answer within 5s: the change may have been applied'

    Attributes:
        endpoint: The etcd endpoint that the write was sent to.
    """

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"{endpoint}: {reason}: the change may have been applied")
        self.endpoint = endpoint


class NoSpaceError(OutcomeUnknownError):
    """
    etcd's database is full, and the write may have been applied.

    etcd checks its quota before and again after it applies a write, with the same error.

        >>> str(NoSpaceError("10.0.0.9:2379", "etcdserver: mvcc: database space exceeded"))
        '10.0.0.9:2379: etcdserver: mvcc: database space exceeded: the change may have been applied'
    """


class RefusedError(EtcdError):
    """
    etcd refused the request; *text* is its message.

        >>> try:
        ...     client.lease_revoke(1)
        ... except RefusedError as error:
        ...     print(error.text)
        etcdserver: requested lease not found
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class PermissionDeniedError(RefusedError):
    """
    The user's roles do not cover the keys; *needs* is which user, which permission and where.

        >>> str(PermissionDeniedError("etcdserver: permission denied", "alice needs write on svc/"))
        'etcdserver: permission denied: alice needs write on svc/'
    """

    def __init__(self, text: str, needs: str = "") -> None:
        super().__init__(text)
        EtcdError.__init__(self, f"{text}: {needs}" if needs else text)


class LeaseNotFoundError(RefusedError):
    """
    The lease does not exist: revoked, expired, or never granted.

        >>> client.lease_revoke(1)
        Traceback (most recent call last):
        etcdnaming.errors.LeaseNotFoundError: etcdserver: requested lease not found
    """


class CompactedError(RefusedError):
    """
    The requested revision has been compacted.

        >>> try:
        ...     _ = manager.list(revision=manager.list().header.revision)
        ... except CompactedError:
        ...     print("etcd has forgotten what the endpoints were")
    """


class FutureRevisionError(RefusedError):
    """
    The requested revision is newer than the member's.

        >>> manager.list(revision=2**60)
        Traceback (most recent call last):
        etcdnaming.errors.FutureRevisionError: etcdserver: mvcc: required revision is a future ...
    """


class MessageTooLargeError(RefusedError):
    """
    A request or an answer was larger than one side accepts.

        >>> manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80", "x" * 2**21))
        Traceback (most recent call last):
        etcdnaming.errors.MessageTooLargeError: ...
    """


class NotNowError(RefusedError):
    """
    A member can't answer now. Another one may, or this one later.

        >>> str(NotNowError("etcdserver: no leader"))
        'etcdserver: no leader'
    """


class LearnerError(NotNowError):
    """
    A member does not vote yet, and until then serves nothing that naming needs.

        >>> str(LearnerError("10.0.0.9:2379"))
        '10.0.0.9:2379: this member is a learner, which serves no requests: promote it, or ...
    """

    def __init__(self, member: str) -> None:
        super().__init__(
            f"{member}: this member is a learner, which serves no requests: "
            "promote it, or use the endpoint of a voting member"
        )
