"""Fold several updates of one key into one with the same effect."""

from __future__ import annotations

from etcdnaming.model import Endpoint, Update, fold

KEY = "svc/e1"
ONE, TWO = Endpoint("1.1.1.1:1"), Endpoint("2.2.2.2:2")


def test_fold_makes_one_put_of_delete_and_add() -> None:
    """The example of etcd's guide, which etcd itself refuses as a duplicate key."""
    assert fold([Update.delete(KEY), Update.add(KEY, TWO)]) == (Update.add(KEY, TWO, lease=0),)


def test_fold_makes_a_delete_of_add_and_delete() -> None:
    """The added endpoint is gone."""
    assert fold([Update.add(KEY, ONE, lease=7), Update.delete(KEY)]) == (Update.delete(KEY),)


def test_fold_takes_the_last_add_and_keeps_the_lease_before_it() -> None:
    """An add that keeps the lease keeps the one that the previous update left."""
    assert fold([Update.add(KEY, ONE, lease=7), Update.add(KEY, TWO)]) == (
        Update.add(KEY, TWO, lease=7),
    )
    assert fold([Update.add(KEY, ONE), Update.add(KEY, TWO)]) == (Update.add(KEY, TWO),)
    assert fold([Update.add(KEY, ONE), Update.add(KEY, TWO, lease=7)]) == (
        Update.add(KEY, TWO, lease=7),
    )


def test_fold_forgets_the_lease_at_a_delete() -> None:
    """An add after a delete is on no lease."""
    updates = [Update.add(KEY, ONE, lease=7), Update.delete(KEY), Update.add(KEY, TWO)]
    assert fold(updates) == (Update.add(KEY, TWO, lease=0),)


def test_fold_keeps_the_order_of_the_keys() -> None:
    """In which they were first named."""
    names = ["svc/b", "svc/a", "svc/b", "svc/c"]
    folded = fold([Update.add(name, ONE) for name in names])
    assert [update.key for update in folded] == ["svc/b", "svc/a", "svc/c"]
