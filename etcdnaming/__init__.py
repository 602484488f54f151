"""
gRPC naming and discovery on etcd: what Go's ``client/v3/naming`` does, in Python.

    >>> from etcdnaming import Client, Endpoint, EndpointManager, Sandbox
    >>> with Sandbox() as etcd, Client([etcd.endpoint]) as client:
    ...     manager = EndpointManager(client, "foo/bar/svc")
    ...     _ = manager.add_endpoint("foo/bar/svc/e1", Endpoint("1.2.3.4:80", {"zone": "a"}))
    ...     manager.list().by_key()
    {'foo/bar/svc/e1': Endpoint(addr='1.2.3.4:80', metadata={'zone': 'a'})}

`Client` connects to etcd. `EndpointManager` adds, changes, deletes, lists and watches the endpoints
of a target; `merge_patch` changes metadata, `services` finds targets. `Registration` keeps
endpoints in etcd as long as a block runs.
`insecure_channel` and `secure_channel` return a ``grpc.Channel`` that follows the endpoints;
`etcdnaming.aio` has the same for asyncio. `Sandbox` is a temporary etcd for tests.

Times are in seconds, revisions and lease ids are integers, and keys are text in which bytes that
are not UTF-8 are lone surrogates. Everything may be used from any thread. Errors are one tree,
`EtcdnamingError`, which is drawn in `etcdnaming.errors`. Background events are logged by the
logger ``etcdnaming``.

In the examples of this reference everything is imported, as by ``from etcdnaming import *``;
``client`` is a `Client`, and ``manager`` an `EndpointManager` of the target ``foo/svc``, in an
empty etcd.
"""

from __future__ import annotations

TYPE_CHECKING = False  # mypy treats it as typing's, which is slow to import
if TYPE_CHECKING:
    from . import aio, errors
    from .endpoints.manager import EndpointManager, services
    from .endpoints.watch import Watch
    from .errors import (
        AuthenticationError,
        ClientClosedError,
        ClosedError,
        CompactedError,
        ConditionFailedError,
        ConflictError,
        ConnectionFailedError,
        EndpointNotFoundError,
        EtcdError,
        EtcdnamingError,
        EtcdNotFoundError,
        FutureRevisionError,
        InheritedError,
        InvalidAnswerError,
        InvalidEndpointError,
        InvalidKeyError,
        InvalidSettingError,
        InvalidTargetError,
        InvalidValueError,
        KeyHeldError,
        LearnerError,
        LeaseNotFoundError,
        MessageTooLargeError,
        MissingPortError,
        NoSpaceError,
        NotNowError,
        OutcomeUnknownError,
        PermissionDeniedError,
        RefusedError,
        SandboxError,
        TLSError,
        TokenRefusedError,
        TooManyOperationsError,
    )
    from .etcd import Client
    from .metadata import merge_patch
    from .model import (
        JSON,
        Change,
        ChangeBatch,
        Condition,
        Deletion,
        Difference,
        Endpoint,
        Header,
        InvalidValue,
        Keys,
        Lease,
        LeaseTTL,
        Listing,
        MemberStatus,
        Operation,
        Plan,
        Services,
        StoredEndpoint,
        StoredKey,
        Update,
        UpdateResult,
        WatchState,
    )
    from .registration.registration import Registration
    from .registration.status import RegistrationEvent
    from .resolver import insecure_channel, secure_channel
    from .resolver.channel import Channel
    from .sandbox import Sandbox

__version__ = "0.2.0"

__all__ = [
    "JSON",
    "AuthenticationError",
    "Change",
    "ChangeBatch",
    "Channel",
    "Client",
    "ClientClosedError",
    "ClosedError",
    "CompactedError",
    "Condition",
    "ConditionFailedError",
    "ConflictError",
    "ConnectionFailedError",
    "Deletion",
    "Difference",
    "Endpoint",
    "EndpointManager",
    "EndpointNotFoundError",
    "EtcdError",
    "EtcdNotFoundError",
    "EtcdnamingError",
    "FutureRevisionError",
    "Header",
    "InheritedError",
    "InvalidAnswerError",
    "InvalidEndpointError",
    "InvalidKeyError",
    "InvalidSettingError",
    "InvalidTargetError",
    "InvalidValue",
    "InvalidValueError",
    "KeyHeldError",
    "Keys",
    "LearnerError",
    "Lease",
    "LeaseNotFoundError",
    "LeaseTTL",
    "Listing",
    "MemberStatus",
    "MessageTooLargeError",
    "MissingPortError",
    "NoSpaceError",
    "NotNowError",
    "Operation",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "Plan",
    "RefusedError",
    "Registration",
    "RegistrationEvent",
    "Sandbox",
    "SandboxError",
    "Services",
    "StoredEndpoint",
    "StoredKey",
    "TLSError",
    "TokenRefusedError",
    "TooManyOperationsError",
    "Update",
    "UpdateResult",
    "Watch",
    "WatchState",
    "aio",
    "errors",
    "insecure_channel",
    "merge_patch",
    "secure_channel",
    "services",
]

# The module of each public name, imported on first use: Endpoint alone does not import gRPC.
_MODULES = {
    "endpoints.manager": ["EndpointManager", "services"],
    "endpoints.watch": ["Watch"],
    "errors": [
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
    ],
    "etcd": ["Client"],
    "model": [
        "Change",
        "ChangeBatch",
        "Condition",
        "Deletion",
        "Difference",
        "Endpoint",
        "Header",
        "InvalidValue",
        "JSON",
        "Keys",
        "Lease",
        "LeaseTTL",
        "Listing",
        "MemberStatus",
        "Operation",
        "Plan",
        "Services",
        "StoredEndpoint",
        "StoredKey",
        "Update",
        "UpdateResult",
        "WatchState",
    ],
    "registration.status": ["RegistrationEvent"],
    "registration.registration": ["Registration"],
    "resolver": ["insecure_channel", "secure_channel"],
    "resolver.channel": ["Channel"],
    "sandbox": ["Sandbox"],
    "metadata": ["merge_patch"],
}
_EXPORTS = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    from importlib import import_module  # the command line starts without it

    if name in {"aio", "errors"}:
        return import_module(f".{name}", __name__)
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_EXPORTS[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
