"""The events that a registration reports."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from ..model import Endpoint
from ..wire import dumps

__all__ = ["Kind", "RegistrationEvent", "edit", "is_warning"]

Kind: TypeAlias = Literal[
    "granted",
    "registered",
    "changed",
    "taken_over",
    "waiting",
    "conflict",
    "deleted",
    "lost",
    "regained",
    "withdrawn",
    "left",
    "revoked",
    "error",
]


class RegistrationEvent(NamedTuple):
    """
    A change of a registration's state; ``str(event)`` is a sentence, for a log.

        >>> event = RegistrationEvent("lost", lease=0x2A, reason="no answer for 10s")
        >>> event
        RegistrationEvent(kind='lost', lease=42, reason='no answer for 10s')
        >>> str(event)
        'lease 000000000000002a lost: no answer for 10s'

    The kinds, and the attributes that each sets:

    - ``granted``: there is a new lease. *lease*, *ttl*
    - ``registered``: the key was written. *key*, *endpoint*, *lease*, *revision*; *holder*: the
      lease that it was taken from; *reason*: why it was missing
    - ``changed``: edited on our lease; the new value stays. *key*, *endpoint*, *lease*, *revision*
    - ``taken_over``: attached to another lease, and left alone from now on. *key*, *holder*,
      *revision*
    - ``waiting``: attached to another lease, and registered later. *key*, *holder*
    - ``conflict``: attached to another lease, and not registered. *key*, *holder*
    - ``deleted``: deleted by another client, and not put back. *key*
    - ``lost``: the endpoints have expired, or may have. *lease*, *reason*
    - ``regained``: everything is registered again, *seconds* after the loss. *lease*, *seconds*
    - ``withdrawn``: deleted, until `Registration.restore`. *key*, *revision*
    - ``left``: deleted when closing. *key*, *revision*
    - ``revoked``: revoked when closing, or because etcd had no space for a deletion. *lease*
    - ``error``: etcd refused a request or is not reached; retried until the end. *reason*, *error*;
      *key*: the one that was refused

    Attributes:
        kind: What has happened.

        key: The whole key; empty for an event of all keys.

        endpoint: What the key holds; ``None`` if its value can't be read.

        lease: The ID of the registration's lease; 0 for none.

        ttl: The granted TTL in seconds.

        holder: The ID of another lease that the key is, or was, attached to; 0 for none.

        revision: The revision of the change.

        seconds: The time without a registration.

        reason: The reason, as text.

        error: The error, if there was one.
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

    def __repr__(self) -> str:
        fields = zip(self._fields, self, strict=True)
        default = self._field_defaults
        shown = (f"{name}={value!r}" for name, value in fields if value != default.get(name))
        return f"{type(self).__name__}({', '.join(shown)})"

    def __str__(self) -> str:
        return self._sentences()[self.kind]

    def _sentences(self) -> dict[Kind, str]:
        key, lease, holder = self.key, f"lease {self.lease:016x}", f"lease {self.holder:016x}"
        return {
            "granted": f"{lease} granted, with a TTL of {self.ttl}s",
            "registered": self._registered(holder),
            "changed": f"{key} was {edit(self)}",
            "taken_over": f"{key} was taken over by {holder}",
            "waiting": f"{key} is held by {holder}; waiting until it is released",
            "conflict": f"{key} is held by {holder}; not registering it",
            "deleted": f"{key} was deleted by another client; not restoring it",
            "lost": f"{lease} lost: {self.reason}",
            "regained": f"registered again after {self.seconds:.1f}s",
            "withdrawn": f"{key} is withdrawn",
            "left": f"{key} is deregistered",
            "revoked": f"{lease} revoked",
            "error": f"{key} is refused: {self.reason}" if key else self.reason,
        }

    def _registered(self, holder: str) -> str:
        if self.holder:
            return f"{self.key} was taken over from {holder}"
        return f"{self.key} is registered{f' again: {self.reason}' if self.reason else ''}"


def edit(event: RegistrationEvent) -> str:
    """Return what another client changed the endpoint of *event* to, for a sentence."""
    value = "an invalid value"
    if event.endpoint is not None:
        value = f"{event.endpoint.addr} {dumps(event.endpoint.metadata)}"
    return f"changed by another client to {value}; keeping it"


_WARNINGS = {"changed", "taken_over", "waiting", "conflict", "deleted", "lost", "error"}


def is_warning(event: RegistrationEvent) -> bool:
    """Return whether an operator must know of *event*; the others are the normal course."""
    unusual = event.kind == "registered" and bool(event.holder or event.reason)
    return unusual or event.kind in _WARNINGS
