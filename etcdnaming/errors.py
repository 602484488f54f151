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
    ├── SandboxError                no throwaway etcd could be started
    │   └── EtcdNotFoundError       no etcd is installed on this machine
    └── EtcdError                   etcd refused a request, or was not reached
        ├── ConnectionFailedError   no endpoint reached in time, or it did not answer
        │   ├── TLSError            an endpoint was reached, but TLS failed
        │   └── ClientClosedError   the client, or the channel passed to it, was closed
        ├── AuthenticationError     login refused
        ├── OutcomeUnknownError     a write that may or may not have been applied
        │   └── NoSpaceError        etcd's database is full
        └── RefusedError            etcd refused the request
            ├── PermissionDeniedError
            ├── LeaseNotFoundError
            ├── CompactedError
            ├── FutureRevisionError
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
    "InvalidEndpointError",
    "InvalidKeyError",
    "InvalidSettingError",
    "InvalidTargetError",
    "InvalidValueError",
    "KeyHeldError",
    "LeaseNotFoundError",
    "MessageTooLargeError",
    "MissingPortError",
    "NoSpaceError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "RefusedError",
    "SandboxError",
    "TLSError",
    "TooManyOperationsError",
]


class EtcdnamingError(Exception):
    """Base of all errors of this package."""


class InvalidTargetError(EtcdnamingError, ValueError):
    """The target is empty, made of slashes only, or names a host."""

    def __init__(self, target: str, reason: str = "it names no service") -> None:
        super().__init__(f"invalid target {target!r}: {reason}")
        self.target = target


class InvalidKeyError(EtcdnamingError, ValueError):
    """The key does not lie under its target; the message is that of Go's client."""

    def __init__(self, key: str, target: str) -> None:
        super().__init__(
            f"endpoints: endpoint key should be prefixed with '{target}/' got: '{key}'"
        )
        self.key = key
        self.target = target


class InvalidEndpointError(EtcdnamingError, ValueError):
    """The endpoint can't be stored so that Go could read it, or its address can't be dialled."""


class MissingPortError(InvalidEndpointError):
    """The address of an endpoint is a host without a port, which gRPC clients can't dial."""

    def __init__(self, addr: str) -> None:
        example = f"[{addr}]:PORT" if addr.count(":") > 1 and addr[0] != "[" else f"{addr}:PORT"
        super().__init__(f"the address {addr!r} has no port: write {example}")
        self.addr = addr


class InvalidSettingError(EtcdnamingError, ValueError):
    """
    An etcd endpoint, a file, or a combination of settings is not valid.

    *setting* is the argument of `Client` that is wrong; empty if it is not a single one.
    """

    def __init__(self, text: str, *, setting: str = "") -> None:
        super().__init__(text)
        self.setting = setting


class InvalidValueError(EtcdnamingError, ValueError):
    """
    A stored value can't be read as an endpoint, or its metadata can't be changed as requested.

    A value is read if Go's ``json.Unmarshal`` accepts it as an endpoint.
    """


class TooManyOperationsError(EtcdnamingError, ValueError):
    """More operations or compares than one transaction takes."""

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(
            f"{count} operations are more than the {limit} that etcd takes in one transaction: "
            "nothing was written"
        )
        self.count = count
        self.limit = limit


class ConditionFailedError(EtcdnamingError):
    """At least one condition was not met, so nothing was written."""

    def __init__(self, failed: Sequence[Condition], header: Header) -> None:
        super().__init__("; ".join(f"condition not met: if {condition}" for condition in failed))
        self.failed: tuple[Condition, ...] = tuple(failed)
        self.header = header


class EndpointNotFoundError(EtcdnamingError, LookupError):
    """Keys whose endpoints were to be changed do not exist; nothing was written."""

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(f"not found: {', '.join(keys)}: nothing was written")
        self.keys: tuple[str, ...] = tuple(keys)


class ClosedError(EtcdnamingError):
    """It was closed by its owner, perhaps in another thread."""


class InheritedError(EtcdnamingError):
    """A watch or a registration of the parent process is used in a forked child."""

    def __init__(self, thing: str) -> None:
        super().__init__(f"{thing} belongs to the parent of this forked process: make a new one")


class ConflictError(EtcdnamingError):
    """Other clients created or deleted the keys each time before they were written."""

    def __init__(self, keys: Sequence[str], attempts: int) -> None:
        super().__init__(
            f"{', '.join(keys)}: changed by other clients {attempts} times while being written: "
            "nothing was written"
        )
        self.keys: tuple[str, ...] = tuple(keys)


class KeyHeldError(ConflictError):
    """Another registration holds the key, and it is not taken over."""

    def __init__(self, key: str, lease: int) -> None:
        EtcdnamingError.__init__(self, f"{key} is held by lease {lease:016x}: not registered")
        self.keys: tuple[str, ...] = (key,)
        self.lease = lease


class SandboxError(EtcdnamingError):
    """A throwaway etcd could not be started, or did not become ready."""


class EtcdNotFoundError(SandboxError):
    """No etcd is installed."""

    def __init__(self) -> None:
        from .extras import missing

        super().__init__(f"no etcd found: none is on PATH, and {missing('sandbox')}")


class EtcdError(EtcdnamingError):
    """etcd refused a request, or was not reached."""


class ConnectionFailedError(EtcdError):
    """No endpoint was usable in time. No write was sent."""


class TLSError(ConnectionFailedError):
    """An endpoint was reached, but the TLS handshake failed."""


class ClientClosedError(ConnectionFailedError):
    """The program has closed the client, or the channel passed to it."""

    def __init__(self) -> None:
        super().__init__("the client is closed")


class AuthenticationError(EtcdError):
    """The user name, password or token was refused."""


class OutcomeUnknownError(EtcdError):
    """The write was sent, but no answer was received: it may have been applied."""

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"{endpoint}: {reason}: the change may have been applied")
        self.endpoint = endpoint


class NoSpaceError(OutcomeUnknownError):
    """
    etcd's database is full, and the write may have been applied.

    etcd checks its quota before and again after it applies a write, with the same error.
    """


class RefusedError(EtcdError):
    """etcd refused the request; *text* is its message."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class PermissionDeniedError(RefusedError):
    """The user's roles do not cover the keys; *needs* is which user, which permission and where."""

    def __init__(self, text: str, needs: str = "") -> None:
        super().__init__(text)
        EtcdError.__init__(self, f"{text}: {needs}" if needs else text)


class LeaseNotFoundError(RefusedError):
    """The lease does not exist: revoked, expired, or never granted."""


class CompactedError(RefusedError):
    """The requested revision has been compacted."""


class FutureRevisionError(RefusedError):
    """The requested revision is newer than the member's."""


class MessageTooLargeError(RefusedError):
    """A request or an answer was larger than one side accepts."""
