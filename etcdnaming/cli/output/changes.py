"""The facts about changes and plans that several formats print: type, subject, effect, counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...model import Change, Difference, Endpoint, Plan, StoredEndpoint
from ...wire import encode

__all__ = [
    "counts",
    "difference_effect",
    "effect",
    "event_type",
    "matters_to_clients",
    "states_after",
    "subject",
]


def event_type(change: Change) -> str:
    """Return ``PUT`` or ``DELETE``, as etcdctl prints it."""
    return "DELETE" if change.endpoint is None else "PUT"


def effect(change: Change) -> str:
    """Return ``added``, ``changed``, ``removed`` or ``renewed`` (only lease or revision differ)."""
    if change.endpoint is None:
        return "removed"
    if change.previous is None:
        return "added"
    return "changed" if matters_to_clients(change) else "renewed"


def difference_effect(difference: Difference) -> str:
    """Return ``added``, ``changed`` or ``removed``."""
    if difference.update.endpoint is None:
        return "removed"
    return "changed" if difference.before else "added"


def counts(plan: Plan) -> Mapping[str, int]:
    """Return how many endpoints of *plan* are ``added changed removed unchanged``."""
    effects = [*map(difference_effect, plan.differences)]
    found = {each: effects.count(each) for each in ("added", "changed", "removed")}
    return {**found, "unchanged": len(plan.unchanged)}


def matters_to_clients(change: Change) -> bool:
    """Return whether the endpoint itself changed: the same endpoint put again does not matter."""
    if change.endpoint is None or change.previous is None:
        return True
    # Values that are equal in Python, such as 1 and true, differ in their bytes.
    before, now = change.previous.endpoint, change.endpoint
    return before != now or encode(before) != encode(now)


def subject(change: Change) -> tuple[Endpoint, int]:
    """Return the endpoint a change is about, and its lease; for a delete, the deleted endpoint."""
    if change.endpoint is None and change.previous is not None:
        return change.previous.endpoint, change.previous.lease
    return change.endpoint or Endpoint(""), change.lease


def states_after(
    changes: Sequence[Change], endpoints: Mapping[str, StoredEndpoint]
) -> Sequence[StoredEndpoint | None]:
    """
    Return the stored endpoint right after each of *changes*; *endpoints* are those after the last.

    The state after a change is the state before the next change of the same key.
    """
    after: dict[str, StoredEndpoint | None] = {}
    found: list[StoredEndpoint | None] = []
    for change in reversed(changes):
        stored = after.get(change.key, endpoints.get(change.key))
        found.append(None if change.endpoint is None else stored)
        after[change.key] = change.previous
    return found[::-1]
