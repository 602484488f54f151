"""
Everything that can go wrong, in one tree. Each error is made from its facts and words itself.

    EtcdnamingError
    ├── InvalidTargetError          an empty target, or one of slashes only
    ├── InvalidKeyError             a key outside its target
    ├── InvalidEndpointError        an endpoint that can't be stored, or can't be dialled
    │   └── MissingPortError        its address is a host without a port
    ├── InvalidSettingError         a client can't be made from these settings
    ├── InvalidValueError           a stored value that can't be read
    ├── TooManyOperationsError      more than one transaction takes; nothing was written
    ├── ConditionFailedError        a condition of an update was not met; nothing was written
    ├── ClosedError                 what was waited for has been closed by its owner
    ├── InheritedError              a forked child uses what only its parent can use
    ├── ConflictError               others kept changing the same keys; nothing was written
    │   └── KeyHeldError            a key hangs on somebody else's lease, and is left to him
    ├── SandboxError                no throwaway etcd could be started
    │   └── EtcdNotFoundError       there is none on this machine
    └── EtcdError                   etcd, or the way to it
        ├── ConnectionFailedError   no endpoint reached in time, or no answer from it
        │   ├── TLSError            an endpoint was reached, but not by TLS
        │   └── ClientClosedError   the program has closed the client, or the channel given to it
        ├── AuthenticationError     login refused
        ├── OutcomeUnknownError     a write that may or may not have been applied
        │   └── NoSpaceError        etcd's database is full
        └── RefusedError            etcd answered, and the answer is no
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
    """The target is empty, made of slashes only, or not one we may ask."""

    def __init__(self, target: str, reason: str = "it names no service") -> None:
        super().__init__(f"invalid target {target!r}: {reason}")
        self.target = target


class InvalidKeyError(EtcdnamingError, ValueError):
    """The key does not lie under its target. In Go's words."""

    def __init__(self, key: str, target: str) -> None:
        super().__init__(
            f"endpoints: endpoint key should be prefixed with '{target}/' got: '{key}'"
        )
        self.key = key
        self.target = target


class InvalidEndpointError(EtcdnamingError, ValueError):
    """The endpoint has no form in etcd that Go could read, or no client could dial its address."""


class MissingPortError(InvalidEndpointError):
    """The address of an endpoint is a host without a port, which gRPC clients can't dial."""

    def __init__(self, addr: str) -> None:
        example = f"[{addr}]:PORT" if addr.count(":") > 1 and addr[0] != "[" else f"{addr}:PORT"
        super().__init__(f"the address {addr!r} has no port: write {example}")
        self.addr = addr


class InvalidSettingError(EtcdnamingError, ValueError):
    """
    An endpoint of etcd, a file or a combination of settings no client can be made from.

    *setting* is the argument of `Client` that is wrong; empty if it is not a single one.
    """

    def __init__(self, text: str, *, setting: str = "") -> None:
        super().__init__(text)
        self.setting = setting


class InvalidValueError(EtcdnamingError, ValueError):
    """A stored value is not what Go's ``json.Unmarshal`` would take for an endpoint."""


class TooManyOperationsError(EtcdnamingError, ValueError):
    """More operations or compares than one transaction takes."""

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(
            f"{count} operations are more than the {limit} that etcd takes in one transaction "
            "(--max-txn-ops, on both sides): nothing was written; "
            "--batch-size N writes them in several"
        )
        self.count = count
        self.limit = limit


class ConditionFailedError(EtcdnamingError):
    """At least one condition was not met when etcd looked, so nothing was written."""

    def __init__(self, failed: Sequence[Condition], header: Header) -> None:
        super().__init__("; ".join(f"condition not met: if {condition}" for condition in failed))
        self.failed = tuple(failed)
        self.header = header


class ClosedError(EtcdnamingError):
    """Its owner has closed it, in another thread: no trouble, but an end."""


class InheritedError(EtcdnamingError):
    """A watch or a registration of the parent process is used in a forked child."""

    def __init__(self, thing: str) -> None:
        super().__init__(f"{thing} belongs to the parent of this forked process: make a new one")


class ConflictError(EtcdnamingError):
    """The keys were created or deleted by others as often as we looked at them."""

    def __init__(self, keys: Sequence[str], attempts: int) -> None:
        super().__init__(
            f"{', '.join(keys)}: changed by others {attempts} times while being written: "
            "nothing was written"
        )
        self.keys = tuple(keys)


class KeyHeldError(ConflictError):
    """Another registration has the key, which was not to be taken from it."""

    def __init__(self, key: str, lease: int) -> None:
        EtcdnamingError.__init__(self, f"{key} is held by lease {lease:016x}: not registered")
        self.keys = (key,)
        self.lease = lease


class SandboxError(EtcdnamingError):
    """A throwaway etcd could not be started, or did not get ready."""


class EtcdNotFoundError(SandboxError):
    """There is no etcd to start."""

    def __init__(self) -> None:
        super().__init__(
            "no etcd found: neither on PATH nor installed by pip install 'etcdnaming[sandbox]'"
        )


class EtcdError(EtcdnamingError):
    """etcd said no, or could not be asked."""


class ConnectionFailedError(EtcdError):
    """No endpoint was usable in time. Nothing was sent that could have changed anything."""


class TLSError(ConnectionFailedError):
    """An endpoint answered, but the two sides did not agree on TLS."""


class ClientClosedError(ConnectionFailedError):
    """The client, or the channel it was given, was closed by the program."""

    def __init__(self) -> None:
        super().__init__("the client is closed")


class AuthenticationError(EtcdError):
    """User name, password or token was refused."""


class OutcomeUnknownError(EtcdError):
    """The write was sent and no answer came: it may have been applied."""

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"{endpoint}: {reason}: the change may have been applied")
        self.endpoint = endpoint


class NoSpaceError(OutcomeUnknownError):
    """
    etcd's database is full.

    etcd checks its quota before and again after it applies a write, and its answer is the same.
    """


class RefusedError(EtcdError):
    """etcd's own answer; *text* is its wording."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class PermissionDeniedError(RefusedError):
    """The user's roles do not cover the keys; *needs* is which user, which permission and where."""

    def __init__(self, text: str, needs: str = "") -> None:
        super().__init__(text)
        if needs:
            self.args = (f"{text}: {needs}",)


class LeaseNotFoundError(RefusedError):
    """The lease is unknown: revoked, expired, or never granted."""


class CompactedError(RefusedError):
    """The revision asked for has been compacted."""


class FutureRevisionError(RefusedError):
    """The revision asked for is newer than the member's."""


class MessageTooLargeError(RefusedError):
    """A request or an answer was larger than one side takes."""
