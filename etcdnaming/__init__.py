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
`etcdnaming.aio` has the same for asyncio. `Sandbox` is a throwaway etcd for tests.

Times are in seconds, revisions and lease ids are integers, and keys are text in which bytes that
are not UTF-8 are lone surrogates. Everything may be used from any thread. Errors are one tree,
`EtcdnamingError`, which is drawn in `etcdnaming.errors`. Background events are logged by the
logger ``etcdnaming``.
"""

from __future__ import annotations

TYPE_CHECKING = False  # mypy treats it as typing's, which is slow to import
if TYPE_CHECKING:
    from .endpoints.manager import EndpointManager, services
    from .errors import EtcdnamingError
    from .etcd import Client
    from .metadata import merge_patch
    from .model import (
        Condition,
        Difference,
        Endpoint,
        Listing,
        Operation,
        Plan,
        Update,
        UpdateResult,
    )
    from .registration.event import RegistrationEvent
    from .registration.registration import Registration
    from .resolver import insecure_channel, secure_channel
    from .sandbox import Sandbox

__version__ = "0.1.0"

__all__ = [
    "Client",
    "Condition",
    "Difference",
    "Endpoint",
    "EndpointManager",
    "EtcdnamingError",
    "Listing",
    "Operation",
    "Plan",
    "Registration",
    "RegistrationEvent",
    "Sandbox",
    "Update",
    "UpdateResult",
    "insecure_channel",
    "merge_patch",
    "secure_channel",
    "services",
]

# The module of each public name, imported on first use: Endpoint alone does not import gRPC.
_EXPORTS = {
    "Client": "etcd",
    "Condition": "model",
    "Difference": "model",
    "Endpoint": "model",
    "EndpointManager": "endpoints.manager",
    "EtcdnamingError": "errors",
    "Listing": "model",
    "Operation": "model",
    "Plan": "model",
    "Registration": "registration.registration",
    "RegistrationEvent": "registration.event",
    "Sandbox": "sandbox",
    "Update": "model",
    "UpdateResult": "model",
    "insecure_channel": "resolver",
    "merge_patch": "metadata",
    "secure_channel": "resolver",
    "services": "endpoints.manager",
}


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # the command line starts without it

    return getattr(import_module(f".{_EXPORTS[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
