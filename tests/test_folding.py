"""Several updates of one key become one, with the same effect."""

from __future__ import annotations

from etcdnaming.endpoints.folding import fold
from etcdnaming.model import Endpoint, Update

KEY = "svc/e1"
ONE, TWO = Endpoint("1.1.1.1:1"), Endpoint("2.2.2.2:2")


def test_the_example_of_etcds_guide_becomes_one_put() -> None:
    """Delete e1, add e1 with another address: etcd itself refuses it as a duplicate key."""
    assert fold([Update.delete(KEY), Update.add(KEY, TWO)]) == (Update.add(KEY, TWO, lease=0),)


def test_add_then_delete_is_a_delete() -> None:
    """What was added before is gone."""
    assert fold([Update.add(KEY, ONE, lease=7), Update.delete(KEY)]) == (Update.delete(KEY),)


def test_the_last_add_wins_and_keeps_the_lease_the_one_before_it_gave() -> None:
    """Keep means what the update before it left."""
    assert fold([Update.add(KEY, ONE, lease=7), Update.add(KEY, TWO)]) == (
        Update.add(KEY, TWO, lease=7),
    )
    assert fold([Update.add(KEY, ONE), Update.add(KEY, TWO)]) == (Update.add(KEY, TWO),)
    assert fold([Update.add(KEY, ONE), Update.add(KEY, TWO, lease=7)]) == (
        Update.add(KEY, TWO, lease=7),
    )


def test_nothing_survives_a_delete() -> None:
    """Not the lease given before it either."""
    updates = [Update.add(KEY, ONE, lease=7), Update.delete(KEY), Update.add(KEY, TWO)]
    assert fold(updates) == (Update.add(KEY, TWO, lease=0),)


def test_keys_keep_the_order_in_which_they_were_first_named() -> None:
    """So that what is printed reads as what was asked."""
    names = ["svc/b", "svc/a", "svc/b", "svc/c"]
    folded = fold([Update.add(name, ONE) for name in names])
    assert [update.key for update in folded] == ["svc/b", "svc/a", "svc/c"]
