"""What a registration tells of itself."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from ..model import Endpoint

__all__ = ["Kind", "RegistrationEvent"]

Kind: TypeAlias = Literal[
    "granted",  # lease, ttl: a new lease
    "registered",  # key, endpoint, lease, revision: we have written it; holder: over whose lease
    "changed",  # key, endpoint, lease, revision: somebody gave it another value, which stands
    "taken_over",  # key, holder, revision: it hangs on another lease now, and is not ours any more
    "waiting",  # key, holder: it hangs on another lease, and we wait (on_conflict="wait")
    "conflict",  # key, holder: it hangs on another lease, and we give up (on_conflict="fail")
    "deleted",  # key: somebody deleted it, and it stays away (on_delete="leave")
    "lost",  # lease, reason: the endpoints may be gone, or are
    "regained",  # lease, seconds: everything is registered again, so long after it was lost
    "withdrawn",  # key, revision: we have deleted it, for now
    "left",  # key, revision: we have deleted it, at the end
    "revoked",  # lease: we have ended it: at the end, or because etcd had no space for a deletion
    "error",  # reason, error: etcd refused something, or can't be asked; until the end we go on
]


class RegistrationEvent(NamedTuple):
    """
    A change of a registration's state; which facts come with it is said at `Kind`.

    *lease* and *holder* are the ids of leases, ours and somebody else's; 0 is none. *ttl* and
    *seconds* are in seconds. *endpoint* is ``None`` where a value can't be read.
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
