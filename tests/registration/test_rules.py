"""The table: what is done for each state a key can be in."""

from __future__ import annotations

from typing import get_args

import pytest

from etcdnaming.model import Endpoint
from etcdnaming.registration.rules import (
    OnConflict,
    OnDelete,
    Policy,
    Seen,
    Slot,
    Stage,
    Verdict,
    judge,
)

NOW, BEFORE, ANOTHER = 7, 6, 5
"""Our lease, the one we had before it, and somebody else's."""

ABSENT = None
OURS = Seen(10, NOW, b"mine")
OLD = Seen(10, BEFORE, b"mine")
CHANGED = Seen(10, NOW, b"other")
OLD_CHANGED = Seen(10, BEFORE, b"other")
LOOSE = Seen(10, 0, b"mine")
LOOSE_OTHER = Seen(10, 0, b"other")
ANOTHERS = Seen(10, ANOTHER, b"mine")

STAGES_IN_USE = (Stage.NEW, Stage.HELD, Stage.AWAY)


def verdict(
    seen: Seen | None,
    stage: Stage,
    *,
    on_conflict: OnConflict = "takeover",
    on_delete: OnDelete = "restore",
    chosen: bool = False,
    held_on: int = NOW,
    wanted: bool = True,
) -> Verdict:
    """Return what is to be done about a key whose value should be ``mine``."""
    slot = Slot(b"svc/e1", b"mine", Endpoint("1"))
    slot.seen, slot.stage, slot.chosen, slot.lease = seen, stage, chosen, held_on
    policy = Policy(10, on_conflict, on_delete)
    return judge(slot, NOW, {NOW, BEFORE}, policy, wanted=wanted)


@pytest.mark.parametrize("stage", STAGES_IN_USE)
@pytest.mark.parametrize("on_conflict", get_args(OnConflict))
def test_an_absent_key_is_put(stage: Stage, on_conflict: OnConflict) -> None:
    """The first time, and whenever somebody has deleted it."""
    assert verdict(ABSENT, stage, on_conflict=on_conflict) is Verdict.PUT


@pytest.mark.parametrize("stage", STAGES_IN_USE)
@pytest.mark.parametrize("seen", [LOOSE, LOOSE_OTHER])
def test_a_key_without_a_lease_is_put(seen: Seen, stage: Stage) -> None:
    """It would be there for ever."""
    assert verdict(seen, stage) is Verdict.PUT


@pytest.mark.parametrize("stage", STAGES_IN_USE)
def test_what_is_as_it_should_be_stays(stage: Stage) -> None:
    """Nothing is written."""
    assert verdict(OURS, stage) is Verdict.HOLD


@pytest.mark.parametrize("seen", [CHANGED, OLD_CHANGED])
def test_another_value_on_our_lease_is_meant(seen: Seen) -> None:
    """An operator has chosen it; it counts from now on."""
    assert verdict(seen, Stage.HELD) is Verdict.ADOPT


def test_what_the_program_chose_last_is_meant_more() -> None:
    """It was set while, or after, somebody else did that."""
    assert verdict(CHANGED, Stage.HELD, chosen=True) is Verdict.PUT


def test_a_key_on_the_lease_before_is_moved() -> None:
    """So that the old one can be revoked."""
    assert verdict(OLD, Stage.HELD, held_on=BEFORE) is Verdict.PUT


@pytest.mark.parametrize(
    ("on_conflict", "at_first", "later"),
    [
        ("takeover", Verdict.PUT, Verdict.TAKEN),
        ("fail", Verdict.CONFLICT, Verdict.TAKEN),
        ("wait", Verdict.WAIT, Verdict.WAIT),
    ],
)
def test_a_key_on_another_lease_may_be_taken_at_the_first_registration_only(
    on_conflict: OnConflict, at_first: Verdict, later: Verdict
) -> None:
    """Whoever came after us, we leave it to him."""
    assert verdict(ANOTHERS, Stage.NEW, on_conflict=on_conflict) is at_first
    for stage in (Stage.HELD, Stage.AWAY):
        assert verdict(ANOTHERS, stage, on_conflict=on_conflict) is later


@pytest.mark.parametrize("seen", [ABSENT, OURS, OLD, CHANGED, LOOSE, LOOSE_OTHER, ANOTHERS])
@pytest.mark.parametrize("wanted", [True, False])
def test_what_others_have_taken_is_not_touched(seen: Seen | None, wanted: bool) -> None:
    """Neither written nor deleted, whatever becomes of it."""
    assert verdict(seen, Stage.OUT, wanted=wanted) is Verdict.NOTHING


def test_a_deleted_key_stays_away_if_that_is_wished() -> None:
    """But not one that went with its lease, nor one that was withdrawn by us."""
    assert verdict(ABSENT, Stage.HELD, on_delete="leave") is Verdict.DELETED
    assert verdict(ABSENT, Stage.HELD, on_delete="leave", held_on=BEFORE) is Verdict.PUT
    assert verdict(ABSENT, Stage.AWAY, on_delete="leave") is Verdict.PUT
    assert verdict(ABSENT, Stage.NEW, on_delete="leave") is Verdict.PUT


@pytest.mark.parametrize("stage", STAGES_IN_USE)
@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (ABSENT, Verdict.NOTHING),
        (OURS, Verdict.DELETE),
        (OLD, Verdict.DELETE),
        (CHANGED, Verdict.DELETE),
        (LOOSE_OTHER, Verdict.NOTHING),
        (ANOTHERS, Verdict.NOTHING),
    ],
)
def test_leaving_deletes_what_is_ours(seen: Seen | None, stage: Stage, expected: Verdict) -> None:
    """And nothing else."""
    assert verdict(seen, stage, wanted=False) is expected


def test_leaving_deletes_what_came_off_our_lease() -> None:
    """Our value without a lease is nobody's, if we had it."""
    assert verdict(LOOSE, Stage.HELD, wanted=False) is Verdict.DELETE
    assert verdict(LOOSE, Stage.NEW, wanted=False) is Verdict.NOTHING
