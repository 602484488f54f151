"""The rules of registration: what to do for each state a key can be in."""

from __future__ import annotations

from typing import get_args

import pytest

from etcdnaming.model import Endpoint
from etcdnaming.registration.rules import (
    Action,
    KeyState,
    OnConflict,
    OnDelete,
    Policy,
    RegisteredKey,
    StoredValue,
    decide,
)

LEASE, OLD_LEASE, FOREIGN_LEASE = 7, 6, 5
"""The registration's lease, the one before it, and another registration's."""

ABSENT = None
OWN = StoredValue(10, LEASE, b"mine")
ON_OLD_LEASE = StoredValue(10, OLD_LEASE, b"mine")
CHANGED = StoredValue(10, LEASE, b"other")
CHANGED_ON_OLD_LEASE = StoredValue(10, OLD_LEASE, b"other")
DETACHED = StoredValue(10, 0, b"mine")
DETACHED_AND_CHANGED = StoredValue(10, 0, b"other")
FOREIGN = StoredValue(10, FOREIGN_LEASE, b"mine")

ACTIVE_STATES = (KeyState.NEW, KeyState.REGISTERED, KeyState.UNREGISTERED)


def action(
    seen: StoredValue | None,
    state: KeyState,
    *,
    on_conflict: OnConflict = "takeover",
    on_delete: OnDelete = "restore",
    unsaved: bool = False,
    lease: int = LEASE,
    wanted: bool = True,
) -> Action:
    """Return what to do about a key whose value should be ``mine``."""
    key = RegisteredKey(b"svc/e1", b"mine", Endpoint("1"))
    key.seen, key.state, key.unsaved, key.lease = seen, state, unsaved, lease
    policy = Policy(10, on_conflict, on_delete)
    return decide(key, LEASE, {LEASE, OLD_LEASE}, policy, wanted=wanted)


@pytest.mark.parametrize("state", ACTIVE_STATES)
@pytest.mark.parametrize("on_conflict", get_args(OnConflict))
def test_rules_put_a_key_when_it_is_absent(state: KeyState, on_conflict: OnConflict) -> None:
    """At the first registration and after every deletion."""
    assert action(ABSENT, state, on_conflict=on_conflict) is Action.PUT


@pytest.mark.parametrize("state", ACTIVE_STATES)
@pytest.mark.parametrize("seen", [DETACHED, DETACHED_AND_CHANGED])
def test_rules_put_a_key_when_it_has_no_lease(seen: StoredValue, state: KeyState) -> None:
    """Otherwise it would stay for ever."""
    assert action(seen, state) is Action.PUT


@pytest.mark.parametrize("state", ACTIVE_STATES)
def test_rules_keep_a_key_when_it_is_registered_as_wanted(state: KeyState) -> None:
    """Nothing is written."""
    assert action(OWN, state) is Action.KEEP


@pytest.mark.parametrize("seen", [CHANGED, CHANGED_ON_OLD_LEASE])
def test_rules_adopt_a_value_that_was_edited_on_the_own_lease(seen: StoredValue) -> None:
    """An operator has chosen it; it is the registered value from now on."""
    assert action(seen, KeyState.REGISTERED) is Action.ADOPT


def test_rules_put_an_unsaved_value_over_an_edited_one() -> None:
    """The program set it during, or after, the edit."""
    assert action(CHANGED, KeyState.REGISTERED, unsaved=True) is Action.PUT


def test_rules_move_a_key_from_the_replaced_lease() -> None:
    """So that the replaced lease can be revoked."""
    assert action(ON_OLD_LEASE, KeyState.REGISTERED, lease=OLD_LEASE) is Action.PUT


@pytest.mark.parametrize(
    ("on_conflict", "at_first", "later"),
    [
        ("takeover", Action.PUT, Action.REPORT_TAKEN_OVER),
        ("fail", Action.REPORT_CONFLICT, Action.REPORT_TAKEN_OVER),
        ("wait", Action.WAIT, Action.WAIT),
    ],
)
def test_rules_take_over_from_another_lease_at_the_first_registration_only(
    on_conflict: OnConflict, at_first: Action, later: Action
) -> None:
    """A later registration of the same key is left alone."""
    assert action(FOREIGN, KeyState.NEW, on_conflict=on_conflict) is at_first
    for state in (KeyState.REGISTERED, KeyState.UNREGISTERED):
        assert action(FOREIGN, state, on_conflict=on_conflict) is later


@pytest.mark.parametrize(
    "seen", [ABSENT, OWN, ON_OLD_LEASE, CHANGED, DETACHED, DETACHED_AND_CHANGED, FOREIGN]
)
@pytest.mark.parametrize("wanted", [True, False])
def test_rules_never_touch_a_key_that_was_given_up(seen: StoredValue | None, wanted: bool) -> None:
    """It is neither written nor deleted, whatever happens to it."""
    assert action(seen, KeyState.GIVEN_UP, wanted=wanted) is Action.NOTHING


def test_rules_leave_a_deleted_key_with_on_delete_leave() -> None:
    """But not one that went with its lease, nor one that was withdrawn."""
    assert action(ABSENT, KeyState.REGISTERED, on_delete="leave") is Action.REPORT_DELETED
    assert action(ABSENT, KeyState.REGISTERED, on_delete="leave", lease=OLD_LEASE) is Action.PUT
    assert action(ABSENT, KeyState.UNREGISTERED, on_delete="leave") is Action.PUT
    assert action(ABSENT, KeyState.NEW, on_delete="leave") is Action.PUT


@pytest.mark.parametrize("state", ACTIVE_STATES)
@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (ABSENT, Action.NOTHING),
        (OWN, Action.DELETE),
        (ON_OLD_LEASE, Action.DELETE),
        (CHANGED, Action.DELETE),
        (DETACHED_AND_CHANGED, Action.NOTHING),
        (FOREIGN, Action.NOTHING),
    ],
)
def test_rules_delete_own_keys_when_leaving(
    seen: StoredValue | None, state: KeyState, expected: Action
) -> None:
    """And no others."""
    assert action(seen, state, wanted=False) is expected


def test_rules_delete_detached_keys_when_leaving() -> None:
    """The registered value without a lease belongs to no other client."""
    assert action(DETACHED, KeyState.REGISTERED, wanted=False) is Action.DELETE
    assert action(DETACHED, KeyState.NEW, wanted=False) is Action.NOTHING
