"""The events that a registration reports."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from ..model import Endpoint

__all__ = ["Kind", "RegistrationEvent"]

Kind: TypeAlias = Literal[
    "granted",  # lease, ttl: there is a new lease
    "registered",  # key, endpoint, lease, revision: written; holder: the lease it was taken from
    "changed",  # key, endpoint, lease, revision: edited on our lease; the new value stays
    "taken_over",  # key, holder, revision: attached to another lease, and left alone from now on
    "waiting",  # key, holder: attached to another lease; registered later (on_conflict="wait")
    "conflict",  # key, holder: attached to another lease; not registered (on_conflict="fail")
    "deleted",  # key: deleted by another client, and not put back (on_delete="leave")
    "lost",  # lease, reason: the endpoints have expired, or may have
    "regained",  # lease, seconds: everything is registered again, this long after the loss
    "withdrawn",  # key, revision: deleted, until `restore`
    "left",  # key, revision: deleted when closing
    "revoked",  # lease: revoked when closing, or because etcd had no space for a deletion
    "error",  # reason, error: etcd refused a request or is not reached; retried until the end
]


class RegistrationEvent(NamedTuple):
    """
    A change of a registration's state; `Kind` says which attributes each kind sets.

    *lease* is the id of the registration's lease, *holder* that of another one; 0 is none. *ttl*
    and *seconds* are in seconds. *endpoint* is ``None`` where the value can't be read.
    """

    kind: Kind
    key: str = ""
    endpoint: Endpoint | None = None
    lease: int = 0
    ttl: int = 0
    holder: int = 0
    revision: int = 0
    seconds: float = 0.0
    reason: str = ""
    error: Exception | None = None
